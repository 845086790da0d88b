"""Schemas of knowledge."""

from gatemill.edge.describe.schemas import rag, stores
from gatemill.edge.describe.words import Json

SCHEMAS: dict[str, Json] = {**stores.SCHEMAS, **rag.SCHEMAS}
