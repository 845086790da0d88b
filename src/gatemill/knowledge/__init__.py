"""Documents, chunks, retrieval, and answers that cite them. Rule: whose store it is stands in every query."""
