"""How a worker hears of a job; one file, one engine. Rule: a message is a hint, the ledger decides."""
