"""Which listener answers what, where administration has a port of its own.

Rule: a route of the other side is answered as a path that does not exist. What a route belongs to is
declared with it (access.py), never read from its path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from starlette.types import ASGIApp, Receive, Scope, Send

    from gatemill.edge.guest import Guest

BOTH = ""  # one listener answers all: no admin port is configured
PUBLIC = "public"
ADMIN = "admin"
SIDE = "gatemill.side"  # of the scope: "public" or "admin"; absent where one listener answers all


class Side(Struct, frozen=True):
    """What one listener serves; replaced by a reload."""

    hosts: frozenset[str] | None  # names served, None for any
    guest: Callable[[], Guest]  # makes uvicorn's protocol object
    is_hot: bool = True  # inference is answered here


class Sided:
    """The application as one listener shows it."""

    def __init__(self, app: ASGIApp, side: str) -> None:
        self._app = app
        self._side = side

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or WebSocket, marked with the side it came from."""
        scope[SIDE] = self._side
        await self._app(scope, receive, send)


def serves(scope: Mapping[str, Any], plane: str) -> bool:
    """Whether the listener of this request answers routes of this plane."""
    side = scope.get(SIDE)
    return side is None or plane in ("both", side)
