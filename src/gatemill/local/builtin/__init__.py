"""Models that need no download and no package: each is a few rules. Rule: its card says what it is, what it is not, and how good."""
