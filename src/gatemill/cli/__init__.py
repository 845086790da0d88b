"""The command line. Rule: heavy imports live inside the command that needs them."""
