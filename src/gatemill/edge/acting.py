"""Inference on behalf of somebody who has signed in, with the key that the session stands for.

Rule: it goes the very way of every request, so limits, budgets and the ledger know of it; only who asks
was found out before. Only routes of edge/access.py that take cookies and need a key come here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gatemill.edge.arrival import Arrival

if TYPE_CHECKING:
    from starlette.requests import Request

    from gatemill.core.call import Key
    from gatemill.gateway.parts import Caller, Gateway


class _Known:
    """Satisfies gateway.parts.Keys: one key, whoever asks."""

    def __init__(self, key: Key) -> None:
        self._key = key

    def identify(self, secret: bytes) -> Key | None:
        """The key of the session."""
        return self._key


def acting(gateway: Gateway, request: Request, key: Key) -> tuple[Gateway, Caller]:
    """The gateway as the caller of a request meets it, and what it is to know of them.

    `key` is whose request it is, as its route has found out.
    """
    arrival = Arrival(gateway.now())
    arrival.path = request.url.path.encode()
    for name, value in request.headers.raw:
        arrival.header(name, value)
    caller = arrival.caller()
    if caller.secret:
        return gateway, caller
    caller.secret = key.id.encode()
    return replace(gateway, keys=_Known(key)), caller
