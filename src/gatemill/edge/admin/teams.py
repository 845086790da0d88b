"""/api/v1/teams: users and keys with limits in common."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import Response
from msgspec import UNSET, Struct, UnsetType

from gatemill.edge import describe
from gatemill.edge.admin.bodies import Asked, given, new_limits, read
from gatemill.wire import limits

if TYPE_CHECKING:
    from fastapi import FastAPI

    from gatemill.edge.admin.clerk import Clerk
    from gatemill.ledger.teams import Team


class _New(Struct):
    id: str
    name: str = ""  # "" is the id
    limits: dict[str, Any] | None = None


class _Change(Struct):
    name: str | UnsetType = UNSET
    limits: dict[str, Any] | UnsetType | None = UNSET


def add(app: FastAPI, clerk: Clerk) -> None:
    """The routes."""

    async def create(request: Request) -> Response:
        admin = clerk.admin(request)
        said = await read(request, _New)
        own = new_limits(said.limits)
        people = clerk.ledger.people
        team = await people.create_team(said.id, said.name or said.id, own, actor=admin.id)
        return clerk.answer(_shown(team), 201)

    async def listed(request: Request) -> Response:
        clerk.admin(request)
        limit = Asked(request, "limit").limit()
        found = await clerk.ledger.people.list_teams(limit + 1)
        return clerk.listing([_shown(team) for team in found], limit)

    async def one(request: Request, team_id: str) -> Response:
        clerk.admin(request)
        return clerk.answer(_shown(await clerk.ledger.people.get_team(team_id)))

    async def change(request: Request, team_id: str) -> Response:
        admin = clerk.admin(request)
        said = await read(request, _Change)
        people = clerk.ledger.people
        changes = given(name=said.name)
        if said.limits is not UNSET:
            changes["limits"] = partial(new_limits, said.limits)
        team = await people.update_team(team_id, **changes, actor=admin.id)
        return clerk.answer(_shown(team))

    async def delete(request: Request, team_id: str) -> Response:
        admin = clerk.admin(request)
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
        "created_at": int(team.created_s),
    }
