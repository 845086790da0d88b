"""The whole of /openapi.json, and the page of /docs.

Rule: the examples in data/openapi/examples.json are sent by the tests, and the answers there are recorded.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import FastAPI

from gatemill.core.version import VERSION
from gatemill.describe import (
    INTRODUCTION,
    SOCKET,
    alerts,
    control,
    data,
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
from gatemill.describe.page import POLICY, page
from gatemill.describe.schemas import SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from starlette.responses import Response

    # A path, who answers there, and what FastAPI is told of it.
    Told = tuple[str, Callable[..., Awaitable[Response]], dict[str, Any]]

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
_CONTROL = {**control.ROUTES, **alerts.ROUTES, **data.ROUTES, **control.as_openai(_OPENAI)}


def complete(told: Iterable[Told], needs: Callable[[str], Sequence[str]]) -> dict[str, Any]:
    """FastAPI's document of these routes, saying everything: operations, schemas, examples, errors, security.

    `needs` knows the scopes of an operation by its name; any of them is enough.
    """
    application = FastAPI(title="Gatemill", version=VERSION, description=INTRODUCTION)
    for path, endpoint, about in told:
        application.add_api_route(path, endpoint, **about)
    document = application.openapi()
    examples = _examples()
    found = {**document["paths"], SOCKET: {"get": {"operationId": "chat_stream"}}}
    paths = {
        path: {
            m: _operation(o["operationId"], path, examples, needs(o["operationId"]))
            for m, o in item.items()
        }
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


def _operation(
    name: str, path: str, examples: routes.Examples, scopes: Sequence[str]
) -> dict[str, Any]:
    """What is said of a route, and what it needs."""
    said = _said(name, path, examples)
    words = " or ".join(f"`{scope}`" for scope in scopes)
    if words:
        said["description"] += f" Needs the scope {words}."
        _say_403(said["responses"])
    return {**said, "x-gatemill-scopes": list(scopes)}


def _say_403(responses: dict[str, Any]) -> None:
    """A key without the scope is refused, in the format of the route's other errors."""
    if "401" in responses and "403" not in responses:
        responses["403"] = {"$ref": responses["401"]["$ref"].removesuffix("401") + "403"}


def _said(name: str, path: str, examples: routes.Examples) -> dict[str, Any]:
    what = _CONTROL.get(name)
    if what is not None:
        return control.operation(what, name, path, examples.get(name, {}))
    return routes.operation(name, path, examples)


def _examples() -> routes.Examples:
    data = resources.files("gatemill").joinpath("data", "openapi", "examples.json").read_bytes()
    found: routes.Examples = msgspec.json.decode(data)
    return found
