"""Schemas of knowledge."""

from gatemill.describe.schemas import rag, stores
from gatemill.describe.words import Json

SCHEMAS: dict[str, Json] = {**stores.SCHEMAS, **rag.SCHEMAS}
