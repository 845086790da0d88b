"""The only sockets to providers. Rule: nothing here knows a vendor."""
