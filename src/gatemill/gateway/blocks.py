"""A stream as an async iterator. Rule: a reader that is slow pauses the provider."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gatemill.core.errors import GatemillError
    from gatemill.core.ports import Stream

PENDING_BYTES_MAX = 256 << 10  # not yet read; above it the provider pauses


class _Buffer:
    """The sink of the stream."""

    def __init__(self, stream: Stream) -> None:
        self.pending: deque[bytes] = deque()
        self.bytes = 0
        self.paused = False  # the provider is
        self.ended = False
        self.error: GatemillError | None = None
        self.news = asyncio.Event()
        self._stream = stream

    def feed(self, data: bytes) -> None:
        self.pending.append(data)
        self.bytes += len(data)
        if self.bytes > PENDING_BYTES_MAX and not self.paused:
            self.paused = True
            self._stream.pause()
        self.news.set()

    def close(self, error: GatemillError | None) -> None:
        self.ended = True
        self.error = error
        self.news.set()


async def blocks_of(stream: Stream) -> AsyncGenerator[bytes, None]:
    """The stream's bytes as they come; each block holds whole events.

    Raises GatemillError when the stream fails. An iterator that is closed early hangs up.
    """
    buffer = _Buffer(stream)
    stream.attach(buffer)
    try:
        while True:
            while buffer.pending:
                data = buffer.pending.popleft()
                buffer.bytes -= len(data)
                yield data
            if buffer.ended:
                break
            if buffer.paused:
                buffer.paused = False
                stream.resume()
                continue
            buffer.news.clear()
            await buffer.news.wait()
        if buffer.error is not None:
            raise buffer.error
    finally:
        if not buffer.ended:
            stream.abort()
