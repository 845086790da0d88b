"""/api/v1/users: people or programs that hold keys."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.edge.admin.bodies import Asked, given, new_limits, read
from gatemill.wire import limits

if TYPE_CHECKING:
    from gatemill.edge.admin.clerk import Clerk
    from gatemill.edge.application import Application
    from gatemill.ledger.users import User


class _New(Struct):
    id: str
    name: str = ""  # "" is the id
    team_id: str | None = None
    limits: dict[str, Any] | None = None


class _Change(Struct):
    name: str | UnsetType = UNSET
    team_id: str | UnsetType | None = UNSET
    limits: dict[str, Any] | UnsetType | None = UNSET


def add(app: Application, clerk: Clerk) -> None:
    """The routes."""

    async def create(request: Request) -> Response:
        admin = clerk.caller(request)
        said = await read(request, _New)
        user = await clerk.ledger.people.create_user(
            said.id,
            said.name or said.id,
            said.team_id or "",
            new_limits(said.limits),
            actor=admin.id,
        )
        return clerk.answer(_shown(user), 201)

    async def listed(request: Request) -> Response:
        limit = Asked(request, "limit").limit()
        found = await clerk.ledger.people.list_users(limit + 1)
        return clerk.listing([_shown(user) for user in found], limit)

    async def one(request: Request, user_id: str) -> Response:
        return clerk.answer(_shown(await clerk.ledger.people.get_user(user_id)))

    async def change(request: Request, user_id: str) -> Response:
        admin = clerk.caller(request)
        said = await read(request, _Change)
        people = clerk.ledger.people
        changes = given(name=said.name, team_id=said.team_id)
        if said.limits is not UNSET:
            changes["limits"] = partial(new_limits, said.limits)
        user = await people.update_user(user_id, **changes, actor=admin.id)
        return clerk.answer(_shown(user))

    async def delete(request: Request, user_id: str) -> Response:
        admin = clerk.caller(request)
        await clerk.ledger.people.delete_user(user_id, actor=admin.id)
        return clerk.answer({"object": "user", "id": user_id, "deleted": True})

    path = "/api/v1/users"
    app.add_api_route(path, create, methods=["POST"], **describe.route("users_create"))
    app.add_api_route(path, listed, methods=["GET"], **describe.route("users"))
    path += "/{user_id}"
    app.add_api_route(path, one, methods=["GET"], **describe.route("user"))
    app.add_api_route(path, change, methods=["PATCH"], **describe.route("users_update"))
    app.add_api_route(path, delete, methods=["DELETE"], **describe.route("users_delete"))


def _shown(user: User) -> dict[str, Any]:
    return {
        "object": "user",
        "id": user.id,
        "name": user.name,
        "team_id": user.team_id,
        "limits": limits.shown(user.limits),
        "created_at": int(user.created_s),
    }
