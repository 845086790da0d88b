"""The inference endpoints as ASGI: for connections that the guest holds, and for any other server.

Rule: the same handler as the front protocol; only the way of the bytes differs.
"""

from __future__ import annotations

import asyncio
from asyncio import FIRST_COMPLETED
from contextlib import contextmanager
from typing import TYPE_CHECKING

from starlette.responses import Response

from gatemill.core.errors import GatemillError
from gatemill.edge import deferred, hot
from gatemill.edge.arrival import Arrival
from gatemill.edge.door import HEARTBEAT_S
from gatemill.wire import failures

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, MutableMapping
    from typing import Any

    from starlette.types import Receive, Scope, Send

    from gatemill.core.ports import Source, Stream
    from gatemill.edge.door import Door
    from gatemill.edge.hot import Answer

BUFFER_BYTES_MAX = 256 << 10  # of a stream not yet taken by the server; above it the source pauses


class HotResponse(Response):
    """Reads the request and answers it; what a route returns."""

    def __init__(self, door: Door, operation: str) -> None:
        self._door = door
        self._operation = operation
        self.background = None
        self.status_code = 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, from its body to the last byte of the answer."""
        gateway = self._door.gateway
        arrival = Arrival(gateway.now())
        arrival.path = scope["path"].encode()
        for name, value in scope["headers"]:
            arrival.header(name, value)
        try:
            body = await self._body(arrival, receive)
        except GatemillError as error:
            answer = hot.refused_unread(gateway, self._operation, arrival.caller(), error)
            await _send_all(send, answer)
            return
        if body is None:
            return
        await _worked(self._door, (receive, send), self._respond(arrival, body))

    async def _respond(self, arrival: Arrival, body: bytes) -> Answer:
        if arrival.prefer or self._operation == "responses":
            return await deferred.respond(self._door, self._operation, body, arrival)
        gateway = self._door.gateway
        return await hot.respond(gateway, self._operation, body, arrival.caller())

    async def _body(self, arrival: Arrival, receive: Receive) -> bytes | None:
        limit = self._door.limits.body_bytes
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            arrival.take(message.get("body", b""), limit)
            if arrival.refusal is not None:
                raise arrival.refusal
            if not message.get("more_body", False):
                if arrival.encoding:
                    hot.welcome(self._door.gateway, arrival.caller())
                return await arrival.body(limit)


class WorkResponse(Response):
    """An answer that is being made; what a route returns. It ends when the caller leaves."""

    def __init__(self, door: Door, work: Coroutine[Any, Any, Answer]) -> None:
        """`work` raises nothing: a failure is an answer, too."""
        self._door = door
        self._work = work
        self.background = None
        self.status_code = 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The answer, whole or as it comes."""
        await _worked(self._door, (receive, send), self._work)


class FlowResponse(Response):
    """A stream that is an answer already; what a route returns."""

    def __init__(self, door: Door, answer: Answer) -> None:
        self._door = door
        self._answer = answer
        self.background = None
        self.status_code = answer.status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The stream, until it ends or the caller leaves."""
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await _flow(self._door, send, self._answer, gone)
        finally:
            gone.cancel()


async def _worked(
    door: Door, ways: tuple[Receive, Send], making: Coroutine[Any, Any, Answer]
) -> None:
    """What `making` answers is sent; a caller who leaves before its end stops it."""
    receive, send = ways
    work = asyncio.ensure_future(making)
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait((work, gone), return_when=FIRST_COMPLETED)
        if not work.done():
            return
        answer = work.result()
        if answer.stream is None:
            await _send_all(send, answer)
        else:
            await _flow(door, send, answer, gone)
    finally:
        gone.cancel()
        if not work.cancel() and not work.cancelled() and work.exception() is None:
            stream = work.result().stream
            if stream is not None:
                stream.abort()


async def _flow(door: Door, send: Send, answer: Answer, gone: asyncio.Future[None]) -> None:
    stream = answer.stream
    assert stream is not None
    with flowing(door, stream) as buffer:
        await send(_start(answer))
        more = True
        while more:
            news = asyncio.ensure_future(buffer.wait())
            try:
                await asyncio.wait((news, gone), timeout=HEARTBEAT_S, return_when=FIRST_COMPLETED)
            finally:
                news.cancel()
            if gone.done():
                return
            data = buffer.take()
            if not data and not buffer.ended:
                data = b": still here\n\n"
            if buffer.error is not None:
                data += failures.event(
                    buffer.error,
                    answer.operation,
                    answer.family,
                    answer.request_id,
                    stream.sent_events,
                )
            more = not buffer.ended
            await send({"type": "http.response.body", "body": data, "more_body": more})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Buffer:
    """A sink that a coroutine empties; pauses the source when it is full."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._parts: list[bytes] = []
        self._bytes = 0
        self._news = asyncio.Event()
        self.ended = False
        self.error: GatemillError | None = None

    def feed(self, data: bytes) -> None:
        """More bytes."""
        self._parts.append(data)
        self._bytes += len(data)
        self._news.set()
        if self._bytes > BUFFER_BYTES_MAX:
            self._source.pause()

    def close(self, error: GatemillError | None) -> None:
        """The end."""
        self.ended = True
        self.error = error
        self._news.set()

    async def wait(self) -> None:
        """Returns when there is something to take, or the end."""
        await self._news.wait()

    def take(self) -> bytes:
        """All bytes so far."""
        data = b"".join(self._parts)
        self._parts.clear()
        self._news.clear()
        if self.ended:
            self._news.set()
        if self._bytes > BUFFER_BYTES_MAX:
            self._source.resume()
        self._bytes = 0
        return data


@contextmanager
def flowing(door: Door, stream: Stream) -> Iterator[Buffer]:
    """What the stream brings. The door knows of it meanwhile; in the end the stream is released."""
    buffer = Buffer(stream)
    door.streams.add(stream)
    stream.attach(buffer)
    try:
        yield buffer
    finally:
        door.streams.discard(stream)
        stream.abort()


async def _send_all(send: Send, answer: Answer) -> None:
    start = _start(answer)
    start["headers"].append((b"content-length", b"%d" % len(answer.body)))
    await send(start)
    await send({"type": "http.response.body", "body": answer.body})


def _start(answer: Answer) -> MutableMapping[str, Any]:
    lines = answer.headers.split(b"\r\n")[:-1]
    headers = [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
    return {"type": "http.response.start", "status": answer.status, "headers": headers}
