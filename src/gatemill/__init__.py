"""Gatemill: one OpenAI-compatible door to every model."""

__version__ = "0.1.0"
