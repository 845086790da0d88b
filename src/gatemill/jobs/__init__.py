"""Work that outlives a request: accepting it, running it, looking after it. Rule: the ledger decides, this room acts."""
