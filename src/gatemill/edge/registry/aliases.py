"""/v1/models/{name}/aliases/{alias}: move, roll back, delete. Rule: what it moves to has answered first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.edge.admin.bodies import Asked, read
from gatemill.edge.registry import cards
from gatemill.edge.registry.names import ONE
from gatemill.ledger.registry_rows import Move

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.edge.admin.clerk import Clerk
    from gatemill.edge.application import Application
    from gatemill.ledger.registry_rows import Moved
    from gatemill.registry.desk import Desk

ALIAS = ONE + "/aliases/{alias}"
_Number = Annotated[int, Meta(ge=1, le=2**31)]


class _Back(Struct):
    reason: str
    if_current: Annotated[int, Meta(ge=0, le=2**31)] | None = None  # 0: there is none


class _To(Struct):
    version: _Number
    reason: str
    if_current: Annotated[int, Meta(ge=0, le=2**31)] | None = None


def add(app: Application, clerk: Clerk, desk: Callable[[], Desk]) -> None:
    """The routes."""

    def told(name: str, moved: Moved) -> Response:
        return clerk.answer(cards.moved(desk().entry(name), name, moved))

    async def move(request: Request, name: str, alias: str) -> Response:
        admin = clerk.caller(request)
        said = await read(request, _To)
        wanted = Move(name, alias, said.reason, admin.id, said.if_current)
        return told(name, await desk().move(wanted, said.version))

    async def rollback(request: Request, name: str, alias: str) -> Response:
        admin = clerk.caller(request)
        said = await read(request, _Back)
        wanted = Move(name, alias, said.reason, admin.id, said.if_current)
        return told(name, await desk().rollback(wanted))

    async def delete(request: Request, name: str, alias: str) -> Response:
        admin = clerk.caller(request)
        asked = Asked(request, "reason", "if_current")
        current = asked.whole("if_current", None, 2**31)
        wanted = Move(name, alias, asked.text("reason"), admin.id, current)
        return told(name, await desk().drop_alias(wanted))

    app.add_api_route(ALIAS, move, methods=["PUT"], **describe.route("aliases_move"))
    app.add_api_route(ALIAS, delete, methods=["DELETE"], **describe.route("aliases_delete"))
    app.add_api_route(
        ALIAS + "/rollback", rollback, methods=["POST"], **describe.route("aliases_rollback")
    )
