"""Redis: counters and answers that several processes share. Rule: only this folder speaks to it."""
