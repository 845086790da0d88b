"""The answers of one connection, one after the other; the sink of its streams.

Rule: knows nothing of requests but what they ask; the front protocol reads, this writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.errors import GatemillError
from gatemill.core.tasks import begin
from gatemill.edge import deferred, heads, hot
from gatemill.edge.door import HEARTBEAT_S, draining
from gatemill.gateway.parts import Caller
from gatemill.wire import failures

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from gatemill.core.ports import Stream
    from gatemill.edge.arrival import Arrival
    from gatemill.edge.door import Door
    from gatemill.edge.hot import Answer


class Replies:
    """What goes out on one connection. At most one answer is under way."""

    __slots__ = (
        "_answer",
        "_answered",
        "_door",
        "_http10",
        "_loop",
        "_stalls",
        "_stream",
        "_task",
        "_transport",
        "busy",
        "keep",
        "wrote_s",
    )

    def __init__(
        self,
        door: Door,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        answered: Callable[[], None],
    ) -> None:
        """`answered` is called when an answer is out and the connection is still there."""
        self._door = door
        self._loop = loop
        self._transport: asyncio.Transport | None = transport  # None once closed
        self._answered = answered
        self._task: asyncio.Task[None] | None = None  # computes the answer under way
        self._answer: Answer | None = None  # set while a stream flows, or waits to be written
        self._stream: Stream | None = None
        self._http10 = False  # the request under way
        self._stalls = False  # the peer does not read
        self.busy = False  # an answer is under way
        self.keep = True  # the connection goes on after it; cleared by the front protocol
        self.wrote_s = 0.0  # loop time of the last bytes; 0 = none yet

    def begin(self, arrival: Arrival) -> None:
        """Answers a request."""
        self.busy = True
        self.keep = self.keep and arrival.keeps and not self._door.leaving
        self._http10 = arrival.http10
        task = begin(self._respond(arrival), self._loop)
        if not task.done():
            self._task = task

    def deny(self, error: GatemillError, operation: str) -> None:
        """Says no to a request that could not be read; the caller of this closes."""
        assert self._transport is not None
        caller = Caller(secret=None, started_s=self._door.gateway.now())
        answer = hot.refused_unread(self._door.gateway, operation, caller, error)
        self._transport.write(heads.whole(answer, self._door.date, keeps=False))

    def interim(self) -> None:
        """Gives leave to send the body, unless that would fall into another answer."""
        if self._transport is not None and not self.busy:
            self._transport.write(heads.CONTINUE)

    def pause(self) -> None:
        """The peer does not read: its source stops too."""
        self._stalls = True
        if self._stream is not None:
            self._stream.pause()

    def resume(self) -> None:
        """The peer reads again."""
        self._stalls = False
        if self._stream is not None:
            self._stream.resume()

    def gone(self) -> None:
        """The caller has left: the answer under way stops now."""
        self._transport = self._answer = None
        self._answered = _nothing  # it held the connection, which holds this
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abort()

    def stop(self) -> bool:
        """The grace is over: a stream ends with one error event. False: the answer never began."""
        self.keep = False
        if self._stream is not None:
            self._stream.fail(draining())
            return True
        if self._answer is not None:
            self._write()
            return True
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.busy = False
        return False

    def watch(self, now_s: float) -> None:
        """Keeps a silent stream alive."""
        if self._task is not None and self._task.done():
            # Our own fault, which the loop has logged: nobody answers any more.
            assert self._transport is not None
            self._transport.abort()
        elif self._stream is not None and not self._stalls and now_s - self.wrote_s > HEARTBEAT_S:
            self.feed(b": still here\n\n")
            self.wrote_s = now_s

    # --- Sink of a stream ----------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Whole events for the caller."""
        self.wrote_s = self._loop.time()
        if self._transport is not None:
            self._transport.write(data if self._http10 else b"%x\r\n%b\r\n" % (len(data), data))

    def close(self, error: GatemillError | None) -> None:
        """The stream is over."""
        answer, self._answer = self._answer, None
        stream, self._stream = self._stream, None
        self.busy = False
        if self._transport is None or answer is None or stream is None:
            return
        if error is not None:
            self.feed(
                failures.event(
                    error, answer.operation, answer.family, answer.request_id, stream.sent_events
                )
            )
        if not self._http10:
            self._transport.write(b"0\r\n\r\n")
        self._answered()

    # --- Inside ----------------------------------------------------------------------------------

    async def _respond(self, arrival: Arrival) -> None:
        door = self._door
        operation = hot.PATHS[arrival.path]
        caller = arrival.caller()
        try:
            if arrival.encoding:
                hot.welcome(door.gateway, caller)
            body = await arrival.body(door.limits.body_bytes)
        except GatemillError as error:
            answer = hot.refused_unread(door.gateway, operation, caller, error)
        else:
            if arrival.prefer or operation == "responses":
                answer = await deferred.respond(door, operation, body, arrival)
            else:
                answer = await hot.respond(door.gateway, operation, body, caller)
        self._task = None
        transport = self._transport
        if transport is None:
            if answer.stream is not None:
                answer.stream.abort()
            return
        if answer.stream is None:
            self._answer = answer
            door.turn.add(self._write)
            return
        self.wrote_s = self._loop.time()
        chunked = not self._http10
        transport.write(heads.begun(answer, door.date, keeps=self.keep, chunked=chunked))
        self._answer = answer
        self._stream = answer.stream
        if self._stalls:
            answer.stream.pause()
        answer.stream.attach(self)

    def _write(self) -> None:
        """A complete answer goes out, with the others of this turn of the loop."""
        answer, self._answer = self._answer, None
        transport = self._transport
        if answer is None or transport is None or transport.is_closing():
            return
        self.wrote_s = self._loop.time()
        transport.write(heads.whole(answer, self._door.date, keeps=self.keep))
        self.busy = False
        self._answered()


def _nothing() -> None:
    """Nobody is told."""
