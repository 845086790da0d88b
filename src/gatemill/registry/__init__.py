"""Models and prompts with versions and aliases, kept in the database. Rule: a version never changes; an alias moves, and who moved it is written down."""
