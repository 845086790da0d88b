"""What must not pass: one file, one guard; pure."""
