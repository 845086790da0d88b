"""Models that run in this process or in a child of it. Rule: the gateway never waits for one to load, only requests do."""
