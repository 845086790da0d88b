"""/api/v1/keys: callers' keys. Rule: a secret is in the answer that makes it, and nowhere else."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import InvalidValue
from gatemill.core.scopes import DEFAULT
from gatemill.edge.admin.bodies import Asked, given, new_guards, new_limits, read
from gatemill.wire import guard_uses, limits

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.edge.admin.clerk import Clerk
    from gatemill.edge.application import Application
    from gatemill.ledger.keys import NewKey

_PATH = "/api/v1/keys"
_ONE = _PATH + "/{key_id}"
GRACE_S = 3_600.0  # for which a replaced key still works
_GRACE_S_MAX = 365 * 86_400.0


class _New(Struct):
    name: str
    models: tuple[str, ...] = ("*",)
    admin: bool = False
    expires_at: float | None = None
    user_id: str | None = None
    team_id: str | None = None
    limits: dict[str, Any] | None = None
    scopes: tuple[str, ...] = DEFAULT
    guards: dict[str, Any] | None = None


class _Change(Struct):
    name: str | UnsetType = UNSET
    models: list[str] | UnsetType = UNSET
    user_id: str | UnsetType | None = UNSET
    team_id: str | UnsetType | None = UNSET
    limits: dict[str, Any] | UnsetType | None = UNSET
    scopes: list[str] | UnsetType = UNSET
    guards: dict[str, Any] | UnsetType | None = UNSET


class _Rotation(Struct):
    grace_s: Annotated[float, Meta(ge=0, le=_GRACE_S_MAX)] = GRACE_S


def add(app: Application, clerk: Clerk) -> None:
    """The routes."""
    _add_reading(app, clerk)
    _add_making(app, clerk)
    _add_changing(app, clerk)


def _add_reading(app: Application, clerk: Clerk) -> None:
    async def listed(request: Request) -> Response:
        limit = Asked(request, "limit").limit()
        found = await clerk.ledger.list_keys(limit + 1)
        now_s = clerk.now_s
        return clerk.listing([shown(one.key, now_s, one.last_used_s) for one in found], limit)

    async def one(request: Request, key_id: str) -> Response:
        found = await clerk.ledger.get_key(key_id)
        return clerk.answer(shown(found.key, clerk.now_s, found.last_used_s))

    app.add_api_route(_PATH, listed, methods=["GET"], **describe.route("keys"))
    app.add_api_route(_ONE, one, methods=["GET"], **describe.route("key"))


def _add_making(app: Application, clerk: Clerk) -> None:
    async def create(request: Request) -> Response:
        admin = clerk.caller(request)
        said = await read(request, _New)
        _check_expiry(said.expires_at, clerk.now_s)
        new = await clerk.ledger.create_key(
            said.name,
            said.models,
            admin=said.admin,
            expires_s=said.expires_at,
            user_id=said.user_id or "",
            team_id=said.team_id or "",
            limits=new_limits(said.limits),
            scopes=said.scopes,
            guards=new_guards(clerk, said.guards),
            maker=admin,
        )
        return clerk.answer(_made(new, clerk.now_s), 201)

    async def rotate(request: Request, key_id: str) -> Response:
        admin = clerk.caller(request)
        said = await read(request, _Rotation)
        new = await clerk.ledger.rotate_key(key_id, said.grace_s, maker=admin)
        return clerk.answer(_made(new, clerk.now_s), 201)

    app.add_api_route(_PATH, create, methods=["POST"], **describe.route("keys_create"))
    app.add_api_route(_ONE + "/rotate", rotate, methods=["POST"], **describe.route("keys_rotate"))


def _add_changing(app: Application, clerk: Clerk) -> None:
    async def change(request: Request, key_id: str) -> Response:
        admin = clerk.caller(request)
        said = await read(request, _Change)
        before = await clerk.ledger.get_key(key_id)
        changes = given(name=said.name, user_id=said.user_id, team_id=said.team_id)
        if said.models is not UNSET:
            changes["models"] = said.models
        if said.limits is not UNSET:
            changes["limits"] = partial(new_limits, said.limits)
        if said.scopes is not UNSET:
            changes["scopes"] = said.scopes
        if said.guards is not UNSET:
            changes["guards"] = new_guards(clerk, said.guards)
        key = await clerk.ledger.update_key(key_id, **changes, maker=admin)
        return clerk.answer(shown(key, clerk.now_s, before.last_used_s))

    async def revoke(request: Request, key_id: str) -> Response:
        admin = clerk.caller(request)
        await clerk.ledger.revoke_key(key_id, actor=admin.id)
        found = await clerk.ledger.get_key(key_id)
        return clerk.answer(shown(found.key, clerk.now_s, found.last_used_s))

    app.add_api_route(_ONE, change, methods=["PATCH"], **describe.route("keys_update"))
    app.add_api_route(_ONE, revoke, methods=["DELETE"], **describe.route("keys_revoke"))


def shown(key: Key, now_s: float, last_used_s: float | None) -> dict[str, Any]:
    """A key as the API tells it."""
    return {
        "object": "key",
        "id": key.id,
        "name": key.name,
        "state": state(key, now_s),
        "models": list(key.models),
        "scopes": list(key.scopes),
        "admin": key.admin,
        "user_id": key.user_id,
        "team_id": key.team_id,
        "limits": limits.shown(key.limits),
        "guards": guard_uses.shown(key.guards),
        "created_at": int(key.created_s),
        "expires_at": _whole(key.expires_s),
        "revoked_at": _whole(key.revoked_s),
        "last_used_at": _whole(last_used_s),
    }


def _made(new: NewKey, now_s: float) -> dict[str, Any]:
    return {**shown(new.key, now_s, None), "secret": new.secret}


def state(key: Key, now_s: float) -> str:
    """live, replaced (it ends soon), revoked or expired."""
    if key.revoked_s is not None:
        return "revoked" if key.revoked_s <= now_s else "replaced"
    return "expired" if key.expires_s is not None and key.expires_s <= now_s else "live"


def _whole(unix_s: float | None) -> int | None:
    return None if unix_s is None else int(unix_s)


def _check_expiry(expires_s: float | None, now_s: float) -> None:
    if expires_s is not None and not now_s < expires_s < 1e11:
        raise InvalidValue(
            "`expires_at`: send a moment in the future, in seconds of Unix time.",
            param="expires_at",
        )
