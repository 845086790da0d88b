"""One file, one dialect that an upstream speaks. Rule: pure; a dialect knows no other dialect."""
