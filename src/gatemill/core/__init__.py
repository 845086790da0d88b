"""Words everybody uses. Rule: imports nothing of Gatemill's, does no I/O."""
