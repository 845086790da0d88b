"""Schemas of recordings."""

from gatemill.edge.describe.words import Json

SCHEMAS: dict[str, Json] = {}
