"""Text generation with transformers: a process of its own that speaks OpenAI's format.

Rule: knows nothing of the gateway; torch is imported when a model is loaded, by nothing else of ours.
"""
