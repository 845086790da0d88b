"""What every route of jobs begins with: who asks, the desk, the body.

Rule: bodies may be compressed and as large as the server takes; errors name the field.
"""

from __future__ import annotations

from contextlib import aclosing
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Raw, Struct

from gatemill.core.errors import InvalidValue
from gatemill.core.job import PRIORITIES
from gatemill.edge import access
from gatemill.edge.arrival import Arrival
from gatemill.edge.asgi import FlowResponse
from gatemill.edge.deferred import desk_of
from gatemill.edge.flow import Flow
from gatemill.edge.hot import STREAM, Answer
from gatemill.jobs import shown
from gatemill.jobs.following import check_room
from gatemill.jobs.submission import Sender, check_names
from gatemill.wire import fields
from gatemill.wire.body import check, check_depth

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request
    from starlette.responses import Response

    from gatemill.core.call import Key
    from gatemill.edge.admin.bodies import Asked
    from gatemill.edge.admin.clerk import Clerk
    from gatemill.edge.shown import Shown
    from gatemill.jobs.desk import Desk
    from gatemill.ledger.jobs.rows import Filter

T = TypeVar("T", bound=Struct)

CHECK_S = 10.0  # of a stream: between two looks whether whoever listens still may
PAGE_MAX = 500
PAGE = 100
PRIORITY_WORDS = ("", *PRIORITIES)
_names = msgspec.json.Decoder(dict[str, Raw])


class Counter:
    """One for the application."""

    def __init__(self, clerk: Clerk, shown: Shown) -> None:
        self.clerk = clerk
        self._shown = shown

    @property
    def desk(self) -> Desk:
        """The one that takes jobs now. Raises UnsupportedOperation."""
        return desk_of(self._shown.door)

    @property
    def now_s(self) -> float:
        """Monotonic time."""
        return self.clerk.gateway.now()

    def is_closing(self) -> bool:
        """The server is shutting down."""
        return self._shown.door.draining

    def caller(self, request: Request) -> Key:
        """The key of a request. Raises InvalidApiKey."""
        return self.clerk.caller(request)

    async def body(self, request: Request) -> bytes:
        """The whole body, decoded. Raises what the door raises for such a body."""
        arrival = Arrival(self.clerk.gateway.now())
        for name, value in request.headers.raw:
            arrival.header(name, value)
        bytes_max = self.clerk.body_bytes_max
        async for piece in request.stream():
            arrival.take(piece, bytes_max)
        if arrival.refusal is not None:
            raise arrival.refusal
        return await arrival.body(bytes_max)

    async def read(self, request: Request, kind: type[T]) -> T:
        """The body as a `kind`; an empty one is an empty object. Raises InvalidRequest and its kinds."""
        data = await self.body(request) or b"{}"
        check(data)
        check_names(fields.decode_head(_names, data), kind.__struct_fields__)
        found = fields.decode_head(msgspec.json.Decoder(kind), data)
        check_depth(data, self.clerk.gateway.json_depth_max)
        return found

    def sender(self, request: Request, key: Key, body: bytes) -> Sender:
        """Who asks for a job; with an Idempotency-Key also what."""
        name = request.headers.get("idempotency-key", "")
        if not name:
            return Sender(key)
        asked = b"%b\0%b" % (request.scope["path"].encode(), body)
        return Sender(key, name, sha256(asked).hexdigest())

    async def listing(self, key: Key, asked: Asked, wanted: Filter) -> Response:
        """The page of jobs that is asked for. Raises InvalidValue."""
        limit = page(asked)
        found = await self.desk.listed(key, wanted, limit + 1, asked.text("after"))
        return self.clerk.listing([shown.job(job) for job in found], limit)

    def flow(
        self, request: Request, events: AsyncGenerator[bytes, None], operation: str
    ) -> Response:
        """A stream of events. Raises Overloaded where too many are open."""
        check_room(self.desk.news)
        gateway = self.clerk.gateway
        request_id = gateway.new_id(self.clerk.now_s)
        headers = STREAM + b"x-request-id: %b\r\n" % request_id.encode()
        stream = Flow(self._while_welcome(request, events), request_id)
        answer = Answer(200, headers, b"", stream, operation, "openai", request_id)
        return FlowResponse(self._shown.door, answer)

    async def _while_welcome(
        self, request: Request, events: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        """The events. Raises InvalidApiKey where one comes and the key has ended, or who asks signed out."""
        checked_s = self.now_s
        async with aclosing(events) as told:
            async for event in told:
                if self.now_s - checked_s >= CHECK_S:
                    await access.check(self._shown, request, access.JOBS_SEEN)
                    checked_s = self.now_s
                yield event


def page(asked: Asked) -> int:
    """The most entries of a list. Raises InvalidValue."""
    return asked.whole("limit", PAGE, PAGE_MAX) or PAGE


def priority(word: str | None) -> int | None:
    """The number of a priority; None where none is said. Raises InvalidValue."""
    if not word:
        return None
    if word not in PRIORITIES:
        raise InvalidValue("`priority`: send high, default or low.", param="priority")
    return PRIORITIES.index(word)
