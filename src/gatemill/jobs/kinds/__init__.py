"""One file, one kind of job. Rule: a kind knows its arguments and its context, and no other kind."""
