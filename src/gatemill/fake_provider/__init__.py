"""A scripted upstream for tests and for trying failure. Rule: knows nothing of the gateway."""
