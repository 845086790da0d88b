"""What /openapi.json and /docs say.

Rule: FastAPI says which routes exist, this package says everything about them. The examples in
data/openapi/examples.json are sent by the tests, and the answers there are recorded.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

import msgspec

from gatemill.edge.describe import (
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

__all__ = ["INTRODUCTION", "POLICY", "SOCKET", "complete", "page", "route"]

SOCKET = "/v1/chat/stream"
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
INTRODUCTION = """\
One door to every model. It speaks OpenAI's and Anthropic's formats, whatever the provider behind a\
 model speaks.

Every route but the health ones needs a key: `Authorization: Bearer gm-...` or `x-api-key: gm-...`.\
 The first start on this machine writes one to `dev.key` in the data folder. The examples below read\
 two variables:

    export GATEMILL_URL=http://127.0.0.1:8700
    export GATEMILL_API_KEY="$(cat data/dev.key)"

The model `echo` is built in: it needs no provider and says back what it is told.
"""


def route(name: str) -> dict[str, Any]:
    """Arguments for FastAPI's add_api_route; `complete` finds the route by this name."""
    return {"operation_id": name, "name": name}


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
