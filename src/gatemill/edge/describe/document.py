"""The whole of /openapi.json, and the page of /docs.

Rule: the examples in data/openapi/examples.json are sent by the tests, and the answers there are recorded.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

import msgspec

from gatemill.edge.describe import (
    SOCKET,
    control,
    experiments,
    features,
    files,
    headers,
    jobs,
    knowledge,
    recordings,
    refusals,
    registry,
    routes,
    serving,
    webhooks,
)
from gatemill.edge.describe.page import POLICY, page
from gatemill.edge.describe.schemas import SCHEMAS

__all__ = ["POLICY", "complete", "page"]

_OPENAI = {
    **jobs.ROUTES,
    **files.ROUTES,
    **webhooks.ROUTES,
    **serving.ROUTES,
    **registry.ROUTES,
    **experiments.ROUTES,
    **features.ROUTES,
    **recordings.ROUTES,
    **knowledge.ROUTES,
}
_CONTROL = {**control.ROUTES, **control.as_openai(_OPENAI)}


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """FastAPI's document, saying everything: operations, schemas, examples, errors, security."""
    examples = _examples()
    found = {**document["paths"], SOCKET: {"get": {"operationId": "chat_stream"}}}
    paths = {
        path: {m: _operation(o["operationId"], path, examples) for m, o in item.items()}
        for path, item in found.items()
    }
    return {
        **document,
        "info": {**document["info"], "license": {"name": "MIT", "identifier": "MIT"}},
        "paths": paths,
        "security": headers.ANY_KEY,
        "tags": [{"name": name, "description": about} for name, about in routes.TAGS.items()],
        "components": {
            "schemas": SCHEMAS,
            "responses": refusals.components(),
            "headers": headers.components(),
            "securitySchemes": headers.SECURITY_SCHEMES,
        },
        "x-errors": refusals.listed(),
    }


def _operation(name: str, path: str, examples: routes.Examples) -> dict[str, Any]:
    what = _CONTROL.get(name)
    if what is not None:
        return control.operation(what, name, path, examples.get(name, {}))
    return routes.operation(name, path, examples)


def _examples() -> routes.Examples:
    data = resources.files("gatemill").joinpath("data", "openapi", "examples.json").read_bytes()
    found: routes.Examples = msgspec.json.decode(data)
    return found
