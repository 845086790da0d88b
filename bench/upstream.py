"""The provider of the benchmark: answers bytes that were built before. Rule: never the bottleneck.

`python -m bench.upstream PORT`. It reads no more of a request than its length and what it asks for.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, cast

import uvloop

from bench import payloads

if TYPE_CHECKING:
    from collections.abc import Iterator

_ANSWER = payloads.http_answer(payloads.chat_answer())
_HEAD, _CHUNKS = payloads.http_stream()
_BURST = _HEAD + b"".join(_CHUNKS)
_LENGTH = b"content-length:"
_STREAMS = (b'"stream":true', b'"stream": true')  # both ways to write it in JSON
_BODY_BYTES_MAX = 1 << 20


class Answering(asyncio.Protocol):
    """One connection: requests one after the other, as HTTP/1.1 clients send them."""

    def __init__(self) -> None:
        self._buffer = b""  # bytes of the request under way
        self._transport: asyncio.Transport | None = None  # None once the connection is lost
        self._last = b""  # the last request that was answered in one piece
        self._last_answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready for a request."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """A paced stream under way ends at its next event."""
        del exc
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Each request that is complete has been answered."""
        if data == self._last and not self._buffer and self._transport is not None:
            # Most proxies send the same bytes each time. Comparing them instead of reading them
            # took the cost from 15 to 6 µs per request, what nginx needs for a fixed answer.
            self._transport.write(self._last_answer)
            return
        self._buffer = self._buffer + data if self._buffer else data
        while (end := request_end(self._buffer)) and self._transport is not None:
            request, self._buffer = self._buffer[:end], self._buffer[end:]
            self._answer(self._transport, request)

    def _answer(self, transport: asyncio.Transport, request: bytes) -> None:
        streams = any(mark in request for mark in _STREAMS)
        if streams and payloads.PACED_WORD in request:
            transport.write(_HEAD)
            self._pace(iter(_CHUNKS))
            return
        self._last = request
        self._last_answer = _BURST if streams else _ANSWER
        transport.write(self._last_answer)

    def _pace(self, chunks: Iterator[bytes]) -> None:
        chunk = next(chunks, None)
        if chunk is None or self._transport is None:
            return
        self._transport.write(chunk)
        asyncio.get_running_loop().call_later(payloads.PACED_GAP_S, self._pace, chunks)


def request_end(buffer: bytes) -> int:
    """Bytes of the first request in the buffer; 0 while it is incomplete."""
    head_end = buffer.find(b"\r\n\r\n")
    if head_end < 0:
        return 0
    head = buffer[:head_end].lower()
    start = head.find(_LENGTH)
    if start < 0:
        return head_end + 4
    line_end = head.find(b"\r\n", start)
    digits = head[start + len(_LENGTH) : line_end if line_end >= 0 else head_end]
    body_bytes = min(int(digits), _BODY_BYTES_MAX)
    end = head_end + 4 + body_bytes
    return end if len(buffer) >= end else 0


async def serve(port: int) -> None:
    """Answers until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
