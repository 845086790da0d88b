"""Vector stores, their documents and chunks, in either database. Rule: owner and store stand in every query."""
