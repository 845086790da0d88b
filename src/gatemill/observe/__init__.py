"""What the operator sees: log lines and metrics. Rule: no prompt, answer or key ever enters."""
