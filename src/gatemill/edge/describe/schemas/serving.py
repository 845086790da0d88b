"""Schemas of serving."""

from gatemill.edge.describe.words import Json

SCHEMAS: dict[str, Json] = {}
