"""The version of this Gatemill. Rule: raised by a release, and nowhere else written."""

VERSION = "0.1.0"
