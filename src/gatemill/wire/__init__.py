"""Bytes to words and back, one file per format a caller may speak. Rule: pure, no I/O."""
