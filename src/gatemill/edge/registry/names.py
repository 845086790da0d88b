"""POST /v1/models, GET /v1/registry, DELETE /v1/models/{name}, GET .../events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import Response
from msgspec import Struct

from gatemill.edge import describe
from gatemill.edge.admin.bodies import Asked, read
from gatemill.edge.registry import cards

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

    from gatemill.edge.admin.clerk import Clerk
    from gatemill.registry.desk import Desk

MODELS = "/v1/models"
ONE = MODELS + "/{name}"
PAGE = 100
PAGE_MAX = 500


class _New(Struct):
    name: str
    kind: str = "model"
    task: str = ""
    description: str = ""


def add(app: FastAPI, clerk: Clerk, desk: Callable[[], Desk]) -> None:
    """The routes."""

    async def create(request: Request) -> Response:
        admin = clerk.admin(request)
        said = await read(request, _New)
        await desk().create(said.name, said.kind, said.task, said.description, admin.id)
        return clerk.answer(cards.model(desk(), said.name), 201)

    async def listed(request: Request) -> Response:
        clerk.admin(request)
        asked = Asked(request, "kind", "limit", "after")
        kind, after = asked.word("kind", "", "model", "prompt"), asked.text("after")
        limit = asked.whole("limit", PAGE, PAGE_MAX) or PAGE
        found = [
            name
            for name, entry in sorted(desk().table.entries.items())
            if name > after and kind in ("", entry.model.kind)
        ]
        return clerk.listing([cards.model(desk(), name) for name in found[: limit + 1]], limit)

    async def delete(request: Request, name: str) -> Response:
        admin = clerk.admin(request)
        await desk().delete(name, Asked(request, "reason").text("reason"), admin.id)
        return clerk.answer({"id": name, "object": "model", "deleted": True})

    async def events(request: Request, name: str) -> Response:
        clerk.admin(request)
        asked = Asked(request, "alias", "limit", "after")
        limit = asked.whole("limit", PAGE, PAGE_MAX) or PAGE
        before = asked.whole("after", None, 2**53)
        found = await desk().rows.events(name, limit + 1, asked.text("alias"), before)
        return clerk.listing([cards.event(each) for each in found], limit)

    app.add_api_route(MODELS, create, methods=["POST"], **describe.route("models_create"))
    app.add_api_route("/v1/registry", listed, methods=["GET"], **describe.route("registry"))
    app.add_api_route(ONE, delete, methods=["DELETE"], **describe.route("models_delete"))
    app.add_api_route(ONE + "/events", events, methods=["GET"], **describe.route("models_events"))
