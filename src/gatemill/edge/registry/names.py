"""POST /v1/models, GET /v1/registry, PATCH and DELETE /v1/models/{name}, GET .../events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import MissingParameter
from gatemill.edge.admin.bodies import Asked, read
from gatemill.edge.registry import cards
from gatemill.ledger.registry_rows import Model

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.edge.admin.clerk import Clerk
    from gatemill.edge.application import Application
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
    team_id: str | None = None  # of a prompt; None is everybody


class _Change(Struct):
    team_id: str | UnsetType | None = UNSET


def add(app: Application, clerk: Clerk, desk: Callable[[], Desk]) -> None:
    """The routes."""

    async def create(request: Request) -> Response:
        admin = clerk.caller(request)
        said = await read(request, _New)
        new = Model(said.name, said.kind, said.task, said.description, team_id=said.team_id or "")
        await desk().create(new, admin.id)
        return clerk.answer(cards.model(desk(), said.name), 201)

    async def listed(request: Request) -> Response:
        asked = Asked(request, "kind", "team", "limit", "after")
        kind, after = asked.word("kind", "", "model", "prompt"), asked.text("after")
        team = asked.text("team")
        limit = asked.whole("limit", PAGE, PAGE_MAX) or PAGE
        found = [
            name
            for name, entry in sorted(desk().table.entries.items())
            if name > after
            and kind in ("", entry.model.kind)
            and (not team or entry.model.team_id == team)
        ]
        return clerk.listing([cards.model(desk(), name) for name in found[: limit + 1]], limit)

    async def change(request: Request, name: str) -> Response:
        admin = clerk.caller(request)
        said = await read(request, _Change)
        if isinstance(said.team_id, UnsetType):
            raise MissingParameter(
                "`team_id`: is required. Send the team whose keys may use the prompt, or null.",
                param="team_id",
            )
        await desk().give(name, said.team_id or "", admin.id)
        return clerk.answer(cards.model(desk(), name))

    async def delete(request: Request, name: str) -> Response:
        admin = clerk.caller(request)
        await desk().delete(name, Asked(request, "reason").text("reason"), admin.id)
        return clerk.answer({"id": name, "object": "model", "deleted": True})

    async def events(request: Request, name: str) -> Response:
        asked = Asked(request, "alias", "limit", "after")
        limit = asked.whole("limit", PAGE, PAGE_MAX) or PAGE
        before = asked.whole("after", None, 2**53)
        found = await desk().rows.events(name, limit + 1, asked.text("alias"), before)
        return clerk.listing([cards.event(each) for each in found], limit)

    app.add_api_route(MODELS, create, methods=["POST"], **describe.route("models_create"))
    app.add_api_route("/v1/registry", listed, methods=["GET"], **describe.route("registry"))
    app.add_api_route(ONE, change, methods=["PATCH"], **describe.route("models_update"))
    app.add_api_route(ONE, delete, methods=["DELETE"], **describe.route("models_delete"))
    app.add_api_route(ONE + "/events", events, methods=["GET"], **describe.route("models_events"))
