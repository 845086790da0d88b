"""Schemas of features."""

from gatemill.edge.describe.words import Json

SCHEMAS: dict[str, Json] = {}
