"""A stream as an async iterator of text. Rule: a reader that is slow pauses the provider."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from gatemill.wire import sse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gatemill.core.errors import GatemillError
    from gatemill.core.ports import Stream

PENDING_BYTES_MAX = 256 << 10  # not yet read by the program; above it the provider pauses
_decode = msgspec.json.Decoder().decode


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


async def pieces_of(stream: Stream) -> AsyncGenerator[str, None]:
    """The text of each chunk that has any. Raises GatemillError when the stream fails.

    An iterator that is closed early hangs up.
    """
    buffer = _Buffer(stream)
    stream.attach(buffer)
    try:
        while True:
            while buffer.pending:
                data = buffer.pending.popleft()
                buffer.bytes -= len(data)
                for text in _texts(data):
                    yield text
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


def _texts(data: bytes) -> list[str]:
    found = []
    for _, event in sse.events(data):
        if event == b"[DONE]":
            continue
        for choice in _decode(event).get("choices") or ():
            text = (choice.get("delta") or {}).get("content")
            if text:
                found.append(text)
    return found
