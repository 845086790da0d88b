"""One file, one engine: how a model is loaded and asked. Rule: what is heavy is imported when it is loaded."""
