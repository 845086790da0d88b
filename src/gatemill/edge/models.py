"""GET /v1/models: what this key may call. Rule: a model out of scope looks like one that is not there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gatemill.core.errors import ModelNotFound

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.gateway.plan import Route, Routes


def listing(routes: Routes, key: Key, *, anthropic: bool) -> dict[str, Any]:
    """All models, in OpenAI's shape or in Anthropic's."""
    found = sorted(routes.visible(key).values(), key=lambda route: route.name)
    if not anthropic:
        return {"object": "list", "data": [_openai(route) for route in found]}
    data = [_anthropic(route) for route in found]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
    return {"data": data, "has_more": False, "first_id": None, "last_id": None, **ends}


def one(routes: Routes, key: Key, name: str, *, anthropic: bool) -> dict[str, Any]:
    """One model. Raises ModelNotFound."""
    route = routes.visible(key).get(name)
    if route is None:
        raise ModelNotFound(
            "There is no such model, or this key may not use it. GET /v1/models lists the names.",
            param="model",
        )
    return _anthropic(route) if anthropic else _openai(route)


def _openai(route: Route) -> dict[str, Any]:
    return {
        "id": route.name,
        "object": "model",
        "created": route.created,
        "owned_by": route.owner,
    }


def _anthropic(route: Route) -> dict[str, Any]:
    made = datetime.fromtimestamp(route.created, UTC).isoformat().replace("+00:00", "Z")
    return {"type": "model", "id": route.name, "display_name": route.name, "created_at": made}
