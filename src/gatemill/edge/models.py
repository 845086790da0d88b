"""GET /v1/models: what this key may call. Rule: a model out of scope looks like one that is not there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gatemill.core.errors import ModelNotFound
from gatemill.local.builtin import cards
from gatemill.local.builtin.engine import Builtins

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.gateway.plan import Route, Routes


def listing(routes: Routes, key: Key, *, anthropic: bool) -> dict[str, Any]:
    """All models, in OpenAI's shape or in Anthropic's."""
    every = routes.visible(key).values()
    found = sorted((route for route in every if not _is_pinned(route)), key=lambda one: one.name)
    if not anthropic:
        return {"object": "list", "data": [_openai(route) for route in found]}
    data = [_anthropic(route) for route in found]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
    return {"data": data, "has_more": False, "first_id": None, "last_id": None, **ends}


def one(
    routes: Routes, key: Key, name: str, known: dict[str, Any] | None, *, anthropic: bool
) -> dict[str, Any]:
    """One model; `known` is what the registry has of the name. Raises ModelNotFound."""
    route = routes.visible(key).get(name)
    if route is None and known is not None and not anthropic:
        return known  # a prompt, or a model without versions
    if route is None:
        raise ModelNotFound(
            "There is no such model, or this key may not use it. GET /v1/models lists the names.",
            param="model",
        )
    if anthropic:
        return _anthropic(route)
    card = _card(route)
    said = {**(known or {}), **_openai(route)}
    return said if card is None else {**said, "card": card}


def _is_pinned(route: Route) -> bool:
    """A single version of the registry: too many to be listed; its name and its aliases are."""
    return route.family != "" and route.name.startswith(f"{route.family}:")


def _card(route: Route) -> dict[str, Any] | None:
    """What is known of a model that is built in, and alone behind its name."""
    if len(route.targets) != 1 or not isinstance(route.targets[0].transport, Builtins):
        return None
    return cards.told(route.targets[0].model)


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
