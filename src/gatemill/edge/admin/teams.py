"""/api/v1/teams: users and keys with limits in common."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.edge.admin.bodies import Asked, given, new_guards, new_limits, read
from gatemill.wire import guard_uses, limits

if TYPE_CHECKING:
    from gatemill.edge.admin.clerk import Clerk
    from gatemill.edge.application import Application
    from gatemill.ledger.teams import Team


class _New(Struct):
    id: str
    name: str = ""  # "" is the id
    limits: dict[str, Any] | None = None
    guards: dict[str, Any] | None = None


class _Change(Struct):
    name: str | UnsetType = UNSET
    limits: dict[str, Any] | UnsetType | None = UNSET
    guards: dict[str, Any] | UnsetType | None = UNSET


def add(app: Application, clerk: Clerk) -> None:
    """The routes."""

    async def create(request: Request) -> Response:
        admin = clerk.caller(request)
        said = await read(request, _New)
        own = new_limits(said.limits)
        people = clerk.ledger.people
        guards = new_guards(clerk, said.guards)
        team = await people.create_team(
            said.id, said.name or said.id, own, guards=guards, actor=admin.id
        )
        return clerk.answer(_shown(team), 201)

    async def listed(request: Request) -> Response:
        limit = Asked(request, "limit").limit()
        found = await clerk.ledger.people.list_teams(limit + 1)
        return clerk.listing([_shown(team) for team in found], limit)

    async def one(request: Request, team_id: str) -> Response:
        return clerk.answer(_shown(await clerk.ledger.people.get_team(team_id)))

    async def change(request: Request, team_id: str) -> Response:
        admin = clerk.caller(request)
        said = await read(request, _Change)
        people = clerk.ledger.people
        changes = given(name=said.name)
        if said.limits is not UNSET:
            changes["limits"] = partial(new_limits, said.limits)
        if said.guards is not UNSET:
            changes["guards"] = new_guards(clerk, said.guards)
        team = await people.update_team(team_id, **changes, actor=admin.id)
        return clerk.answer(_shown(team))

    async def delete(request: Request, team_id: str) -> Response:
        admin = clerk.caller(request)
        await clerk.ledger.people.delete_team(team_id, actor=admin.id)
        return clerk.answer({"object": "team", "id": team_id, "deleted": True})

    path = "/api/v1/teams"
    app.add_api_route(path, create, methods=["POST"], **describe.route("teams_create"))
    app.add_api_route(path, listed, methods=["GET"], **describe.route("teams"))
    path += "/{team_id}"
    app.add_api_route(path, one, methods=["GET"], **describe.route("team"))
    app.add_api_route(path, change, methods=["PATCH"], **describe.route("teams_update"))
    app.add_api_route(path, delete, methods=["DELETE"], **describe.route("teams_delete"))


def _shown(team: Team) -> dict[str, Any]:
    return {
        "object": "team",
        "id": team.id,
        "name": team.name,
        "limits": limits.shown(team.limits),
        "guards": guard_uses.shown(team.guards),
        "created_at": int(team.created_s),
    }
