"""Counters and cache. Rule: one file or folder is one engine, and engines do not know each other."""
