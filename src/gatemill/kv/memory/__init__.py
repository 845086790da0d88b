"""The engine of one process. Rule: no I/O; what is here is gone when the process ends."""
