"""What every question to documents begins and ends with: who asks, the answer, and its failure.

Rule: a question has one id; its calls of models have ids that begin with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Raw, Struct

from gatemill.core.errors import GatemillError, NotFound
from gatemill.core.job import owner_of
from gatemill.edge import faults, hot
from gatemill.edge.acting import acting
from gatemill.edge.admin.clerk import Clerk
from gatemill.edge.asgi import WorkResponse
from gatemill.edge.deferred import desk_of
from gatemill.edge.jobs.counter import Counter
from gatemill.jobs.submission import check_names
from gatemill.knowledge.asking import Asking
from gatemill.wire import fields
from gatemill.wire.body import check, check_depth

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from gatemill.edge.hot import Answer
    from gatemill.edge.shown import Shown
    from gatemill.knowledge.desk import Desk
    from gatemill.ledger.knowledge.rows import Store

T = TypeVar("T", bound=Struct)
_names = msgspec.json.Decoder(dict[str, Raw])
_RENAMED = {"prompt_id": "prompt"}  # what the caller calls a field of the chat that is asked
_encode = msgspec.json.Encoder().encode


class Inquiry(NamedTuple):
    """One question, not yet answered."""

    operation: str  # the metric label: "search" or "rag"
    asking: Asking
    desk: Desk
    owner: str
    began_s: float  # monotonic

    async def store(self, name_or_id: str, param: str) -> Store:
        """A store of the caller's, which counts as used now. Raises NotFound, which names `param`."""
        try:
            found = await self.desk.store.find(name_or_id, self.owner)
        except NotFound as error:
            raise NotFound(error.message, param=param) from None
        await self.desk.store.touch(found)
        return found

    def answer(self, value: Any, headers: bytes = b"") -> Answer:
        """A JSON answer; `headers` end in CRLF each."""
        return self._answer(200, b"content-type: application/json\r\n" + headers, _encode(value))

    def refusal(self, error: GatemillError) -> Answer:
        """The answer that says no."""
        if error.param in _RENAMED:
            error.param = _RENAMED[error.param]
        return hot.refusal(error, self.operation, "openai", self.asking.request_id)

    def _answer(self, status: int, headers: bytes, body: bytes) -> Answer:
        request_id = self.asking.request_id
        lines = b"%bx-request-id: %b\r\n" % (headers, request_id.encode())
        return hot.Answer(status, lines, body, None, self.operation, "openai", request_id)


class Reading(Generic[T]):
    """How a body is read. Rule: strict; what is not known is refused by name."""

    def __init__(self, kind: type[T], hints: Mapping[str, str]) -> None:
        """`hints` are remedies by the names of fields."""
        self._names = kind.__struct_fields__
        self._decoder = msgspec.json.Decoder(kind)
        self._hints = hints

    def read(self, body: bytes, depth_max: int) -> T:
        """The body. Raises InvalidRequest and its kinds."""
        data = body or b"{}"
        check(data)
        check_names(fields.decode_head(_names, data), self._names)
        found = fields.decode_head(self._decoder, data, self._hints)
        check_depth(data, depth_max)
        return found


class Inquiries:
    """The way of every question. One for the application."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._clerk = Clerk(shown)
        self._counter = Counter(self._clerk, shown)

    async def take(
        self,
        request: Request,
        operation: str,
        reading: Reading[T],
        work: Callable[[Inquiry, T], Coroutine[Any, Any, Answer]],
    ) -> Response:
        """The answer that `work` makes of a body.

        Raises InvalidApiKey, and InvalidRequest and its kinds for the body.
        """
        key = self._clerk.caller(request)
        body = reading.read(await self._counter.body(request), self._clerk.gateway.json_depth_max)
        gateway, caller = acting(self._clerk.gateway, request, key)
        inquiry = Inquiry(
            operation,
            Asking(gateway, caller, gateway.new_id(self._clerk.now_s)),
            desk_of(self._shown.door).services.rooms.knowledge,
            owner_of(key),
            caller.started_s,
        )
        return WorkResponse(self._shown.door, self._answered(inquiry, work(inquiry, body)))

    async def _answered(self, inquiry: Inquiry, work: Coroutine[Any, Any, Answer]) -> Answer:
        meter, asking = self._clerk.gateway.meter, inquiry.asking
        try:
            answer = await faults.shielded(work, asking.request_id)
        except GatemillError as error:
            if error is not asking.failure:  # that one was counted when it happened
                meter.error(error.code)
            answer = inquiry.refusal(error)
        series = meter.series(inquiry.operation, "", "", answer.status)
        series.requests += 1
        series.duration.observe(asking.now() - inquiry.began_s)
        return answer
