"""LiteLLM's configuration -> ours. Rule: what is not carried over is said, with its line and what there is instead."""
