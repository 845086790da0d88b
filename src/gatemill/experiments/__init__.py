"""Arms, outcomes and honest comparisons. Rule: looking often does not make a difference out of noise."""
