"""The child process that generates text with transformers. Rule: it knows nothing of the gateway; it speaks OpenAI over HTTP."""
