"""The database: keys, usage, prices paid. Rule: nothing here runs on the event loop."""
