"""What every question to documents begins and ends with: who asks, the answer, and its failure.

Rule: a question has one id; its calls of models have ids that begin with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from gatemill.core.errors import GatemillError
from gatemill.core.job import owner_of
from gatemill.edge import failures, hot
from gatemill.edge.admin.clerk import Clerk
from gatemill.edge.arrival import Arrival
from gatemill.edge.asgi import WorkResponse
from gatemill.edge.deferred import desk_of
from gatemill.edge.jobs.counter import Counter
from gatemill.knowledge.asking import Asking

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastapi import Request, Response

    from gatemill.edge.hot import Answer
    from gatemill.edge.shown import Shown
    from gatemill.knowledge.desk import Desk
    from gatemill.ledger.knowledge.rows import Store

T = TypeVar("T", bound=Struct)
_encode = msgspec.json.Encoder().encode


class Inquiry(NamedTuple):
    """One question, not yet answered."""

    operation: str  # the metric label: "search" or "rag"
    asking: Asking
    desk: Desk
    owner: str
    began_s: float  # monotonic

    async def store(self, name_or_id: str) -> Store:
        """A store of the caller's, which counts as used now. Raises NotFound."""
        found = await self.desk.store.find(name_or_id, self.owner)
        await self.desk.store.touch(found)
        return found

    def answer(self, value: Any, headers: bytes = b"") -> Answer:
        """A JSON answer; `headers` end in CRLF each."""
        return self._answer(200, b"content-type: application/json\r\n" + headers, _encode(value))

    def refusal(self, error: GatemillError) -> Answer:
        """The answer that says no."""
        return hot.refusal(error, self.operation, "openai", self.asking.request_id)

    def _answer(self, status: int, headers: bytes, body: bytes) -> Answer:
        request_id = self.asking.request_id
        lines = b"%bx-request-id: %b\r\n" % (headers, request_id.encode())
        return hot.Answer(status, lines, body, None, self.operation, "openai", request_id)


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
        kind: type[T],
        work: Callable[[Inquiry, T], Coroutine[Any, Any, Answer]],
    ) -> Response:
        """The answer that `work` makes of a body, which is read as a `kind`.

        Raises InvalidApiKey, and InvalidRequest and its kinds for the body.
        """
        key = self._clerk.caller(request)
        body = await self._counter.read(request, kind)
        gateway = self._clerk.gateway
        arrival = Arrival(gateway.now())
        for name, value in request.headers.raw:
            arrival.header(name, value)
        inquiry = Inquiry(
            operation,
            Asking(gateway, arrival.caller(), gateway.new_id(self._clerk.now_s)),
            desk_of(self._shown.door).services.rooms.knowledge,
            owner_of(key),
            arrival.started_s,
        )
        return WorkResponse(self._shown.door, self._answered(inquiry, work(inquiry, body)))

    async def _answered(self, inquiry: Inquiry, work: Coroutine[Any, Any, Answer]) -> Answer:
        meter, asking = self._clerk.gateway.meter, inquiry.asking
        try:
            answer = await failures.shielded(work, asking.request_id)
        except GatemillError as error:
            if error is not asking.failure:  # that one was counted when it happened
                meter.error(error.code)
            answer = inquiry.refusal(error)
        series = meter.series(inquiry.operation, "", "", answer.status)
        series.requests += 1
        series.duration.observe(asking.now() - inquiry.began_s)
        return answer
