"""Decisions. Rule: pure; time and randomness are arguments."""
