"""What /openapi.json and /docs say of each route."""

from __future__ import annotations

from typing import Any

INTRODUCTION = "One OpenAI-compatible door to every model."
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def route(name: str) -> dict[str, Any]:
    """Arguments for FastAPI's add_api_route."""
    return {"operation_id": None, "name": name}


def page(document: dict[str, Any]) -> str:
    """The documentation as one page."""
    return str(document)
