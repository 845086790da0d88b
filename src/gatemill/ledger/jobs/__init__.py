"""The jobs in the database. Rule: a worker that no longer holds its claim changes nothing."""
