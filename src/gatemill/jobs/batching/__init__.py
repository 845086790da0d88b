"""OpenAI's batches as jobs. Rule: the ledger has every result before it counts; a restart redoes what was in flight."""
