"""A plain HTTP client that shows what really came over the socket."""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
import msgspec
import pytest

from gatemill.fake_provider.connection import Connection
from gatemill.fake_provider.server import FakeProvider
from gatemill.fake_provider.steps import Send
from gatemill.wire import sse

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
RESPONSES = "/v1/responses"
KEY = "test-key-1234"
PATIENCE_S = 60.0


class Seen:
    """One answer as it arrived."""

    def __init__(self) -> None:
        self.status = 0
        self.statuses: list[int] = []  # interim ones included
        self.headers: dict[str, str] = {}
        self.body = b""
        self.chunks: list[
            bytes
        ] = []  # body as the parser gave it: one item per HTTP chunk and read
        self.reads: list[bytes] = []  # raw, as the socket gave it
        self.complete = False
        self.broken = False  # not HTTP
        self.ended = "open"  # then "eof" or "reset"
        self._parser = httptools.HttpResponseParser(self)

    @property
    def raw(self) -> bytes:
        return b"".join(self.reads)

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def events(self) -> list[tuple[str, bytes]]:
        return list(sse.events(self.body.replace(b"\r\n", b"\n")))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    @property
    def data(self) -> list[Any]:
        return [msgspec.json.decode(data) for _, data in self.events if data != b"[DONE]"]

    @property
    def text(self) -> str:
        deltas = [chunk["choices"][0]["delta"] for chunk in self.data if chunk.get("choices")]
        return "".join(delta.get("content") or "" for delta in deltas)

    def feed(self, data: bytes) -> None:
        self.reads.append(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.broken = True

    def on_status(self, status: bytes) -> None:
        self.status = self._parser.get_status_code()
        self.statuses.append(self.status)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body
        self.chunks.append(body)

    def on_message_complete(self) -> None:
        if self.status >= 200:
            self.complete = True


def request(
    model: str,
    path: str = CHAT,
    *,
    fields: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    closes: bool = True,
) -> bytes:
    """The bytes of a good request; `fields` and `headers` add and replace, None removes."""
    messages = [{"role": "user", "content": "Say hello, please"}]
    good: dict[str, Any] = {"model": model, "messages": messages}
    if path.endswith("/messages"):
        good["max_tokens"] = 1_000_000
    if path.endswith(("/responses", "/embeddings")):
        good = {"model": model, "input": "Say hello, please"}
    body = {k: v for k, v in {**good, **(fields or {})}.items() if v is not None}
    encoded = msgspec.json.encode(body)
    sent = {
        "host": "127.0.0.1",
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "content-length": str(len(encoded)),
        "connection": "close" if closes else None,
        "anthropic-version": "2023-06-01" if "/messages" in path else None,
        **(headers or {}),
    }
    lines = [f"{name}: {value}" for name, value in sent.items() if value is not None]
    head = f"POST {path} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n"
    return head.encode() + encoded


async def read(reader: asyncio.StreamReader) -> Seen:
    """Everything until the answer is complete or the connection ends."""
    seen = Seen()
    async with asyncio.timeout(PATIENCE_S):
        while not seen.complete and not seen.broken:
            try:
                data = await reader.read(1 << 20)
            except ConnectionResetError:
                seen.ended = "reset"
                return seen
            if not data:
                seen.ended = "eof"
                return seen
            seen.feed(data)
    return seen


async def rest(reader: asyncio.StreamReader) -> bytes:
    """All bytes until the connection ends."""
    async with asyncio.timeout(PATIENCE_S):
        return await reader.read()


async def exchange(provider: FakeProvider, sent: bytes) -> Seen:
    """One request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    try:
        writer.write(sent)
        return await read(reader)
    finally:
        writer.close()


async def ask(provider: FakeProvider, model: str, path: str = CHAT, **fields: Any) -> Seen:
    """The complete answer to a good request."""
    return await exchange(provider, request(model, path, fields=fields))


async def stream(provider: FakeProvider, model: str, path: str = CHAT, **fields: Any) -> Seen:
    """The streamed answer to a good request."""
    return await ask(provider, model, path, stream=True, **fields)


async def get(provider: FakeProvider, path: str, headers: str = "") -> Seen:
    """The answer to a GET."""
    auth = f"authorization: Bearer {KEY}\r\n"
    return await exchange(
        provider, f"GET {path} HTTP/1.1\r\nhost: x\r\n{auth}{headers}\r\n".encode()
    )


def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes providers write in each turn of their loop, from now on.

    How many of them a reader gets at once is the kernel's affair.
    """
    in_a_turn = [0]
    send = Connection._send

    def noted(connection: Connection, step: Send) -> None:
        if not in_a_turn[-1]:
            asyncio.get_running_loop().call_soon(in_a_turn.append, 0)
        in_a_turn[-1] += len(step.data)
        send(connection, step)

    monkeypatch.setattr(Connection, "_send", noted)
    return in_a_turn
