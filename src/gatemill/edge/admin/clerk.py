"""What every control route begins and ends with: who asks, and the answer.

Rule: a key that is no admin's learns nothing of others, not even that they exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from gatemill.core.errors import PermissionDenied
from gatemill.edge import access
from gatemill.ledger.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from gatemill.core.call import Key
    from gatemill.edge.shown import Shown
    from gatemill.gateway.parts import Gateway

_encode = msgspec.json.Encoder(decimal_format="string").encode


class Clerk:
    """One for the application."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown

    @property
    def gateway(self) -> Gateway:
        """The one that serves now."""
        return self._shown.door.gateway

    @property
    def ledger(self) -> Ledger:
        """Keys and usage."""
        keys = self.gateway.keys
        assert isinstance(keys, Ledger)
        return keys

    @property
    def workers(self) -> int:
        """Processes that answer at this address."""
        reloader = self._shown.reloader
        return 1 if reloader is None else reloader.workers

    @property
    def body_bytes_max(self) -> int:
        """Largest body that is taken."""
        return self._shown.door.limits.body_bytes

    @property
    def now_s(self) -> float:
        """Unix time."""
        return self.gateway.clock.unix_s()

    def caller(self, request: Request) -> Key:
        """Whose request it is; its route has asked."""
        return access.key_of(request)

    def scope(self, request: Request, key_id: str) -> tuple[Key, str]:
        """Who asks, and the id of the only key they may hear of: "" is all of them.

        `key_id` is the one they ask for, "" for none in particular. Raises PermissionDenied.
        """
        key = self.caller(request)
        if key.may("admin:read"):
            return key, key_id
        if key_id not in ("", key.id):
            raise PermissionDenied("Only an admin key may ask for other keys. Leave `key` out.")
        return key, key.id

    def answer(self, value: Any, status: int = 200) -> Response:
        """A JSON answer."""
        return self.text(_encode(value), "application/json", status)

    def listing(self, data: Sequence[Any], limit: int) -> Response:
        """A list of at most `limit` entries; `data` may hold one more, which says that there is more."""
        return self.answer(
            {"object": "list", "data": list(data[:limit]), "has_more": len(data) > limit}
        )

    def text(self, body: bytes, media_type: str, status: int = 200) -> Response:
        """An answer of another kind."""
        gateway = self.gateway
        headers = {"x-request-id": gateway.new_id(gateway.clock.unix_s())}
        return Response(body, status, headers, media_type)
