"""The way of a request; file order is call order. Rule: no sockets, no configuration file."""
