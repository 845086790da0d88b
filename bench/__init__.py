"""Ratios against the limit and a peer, in one run. Rule: nothing in src imports this."""
