"""Fuzzing: each target is a module with `one(data)`, which raises on anything that must not be."""
