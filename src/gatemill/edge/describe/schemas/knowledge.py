"""Schemas of knowledge."""

from gatemill.edge.describe.schemas import rag
from gatemill.edge.describe.words import Json

SCHEMAS: dict[str, Json] = {**rag.SCHEMAS}
