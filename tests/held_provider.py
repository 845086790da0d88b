"""A provider that answers half and then waits for the test, however quick or slow the machine is.

async with Held() as held:
    held.url, held.asked      # requests that wait, or have been answered
    held.release()            # these and all later ones end well
"""

from __future__ import annotations

import asyncio
import re

import msgspec

PATIENCE_S = 60.0
_WHOLE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "half whole"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}
_STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    b"connection: close\r\n\r\n"
)


class Held:
    """Speaks OpenAI's chat: of a stream the first half comes at once, of other answers nothing."""

    def __init__(self) -> None:
        self.url = ""  # without /v1
        self.asked = 0
        self._released = asyncio.Event()
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Held:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def release(self) -> None:
        """Whoever waits gets the rest, and nobody waits from now on."""
        self._released.set()

    async def until_asked(self, count: int = 1) -> None:
        """So many requests have arrived, whole."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: self.asked >= count)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the gateway has hung up
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = re.search(rb"content-length: (\d+)", head.lower())
        body = await reader.readexactly(int(size[1]) if size else 0)
        streams = msgspec.json.decode(body).get("stream", False)
        if streams:
            writer.write(_STREAM + _event({"role": "assistant", "content": "half "}))
            await writer.drain()
        async with self._changed:
            self.asked += 1
            self._changed.notify_all()
        await self._released.wait()
        if streams:
            end = _event({"content": "whole"}) + _event({}, "stop") + _chunk(b"data: [DONE]\n\n")
            writer.write(end + b"0\r\n\r\n")
        else:
            data = msgspec.json.encode(_WHOLE)
            kind = b"content-type: application/json\r\nconnection: close\r\n"
            writer.write(b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n" % (kind, len(data)))
            writer.write(data)
        await writer.drain()


def _event(delta: dict[str, str], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    said = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return _chunk(b"data: " + msgspec.json.encode({**said, "choices": [choice]}) + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
