"""Transports of every kind, a sink that remembers, and servers that misbehave byte by byte."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from gatemill.core.call import Timeouts
from gatemill.core.errors import GatemillError
from gatemill.core.ports import Incoming, Outgoing
from gatemill.upstream.pool import Pool
from gatemill.upstream.proxied import Proxied

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator

    from gatemill.core.ports import Source, Transport

KINDS = ("pool", "proxied")
PATIENCE_S = 20.0
PATIENT = Timeouts(connect_s=5, first_token_s=10, between_chunks_s=10, total_s=20)

KEY = (("authorization", "Bearer sk-123456789"),)

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Bench:
    """Makes transports of one kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._made: list[Transport] = []

    def make(
        self,
        base_url: str,
        *,
        headers: tuple[tuple[str, str], ...] = KEY,
        connections_max: int = 8,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> Transport:
        if self.kind == "pool":
            made: Transport = Pool(base_url, headers, connections_max=connections_max, tls=tls)
        else:
            made = Proxied(base_url, headers, proxy=proxy, tls=tls, connections_max=connections_max)
        self._made.append(made)
        return made

    async def close(self) -> None:
        for transport in self._made:
            await transport.close()


class Remembered:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.closed: list[GatemillError | None] = []
        self._news = asyncio.Event()

    @property
    def data(self) -> bytes:
        return b"".join(self.parts)

    def feed(self, data: bytes) -> None:
        assert not self.closed, "nothing comes after the end"
        assert data, "an empty piece is no piece"
        self.parts.append(data)
        self._news.set()

    def close(self, error: GatemillError | None) -> None:
        self.closed.append(error)
        self._news.set()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not true():
                self._news.clear()
                await self._news.wait()

    async def end(self) -> GatemillError | None:
        await self.until(lambda: bool(self.closed))
        assert len(self.closed) == 1
        return self.closed[0]


def soon(seconds: float = PATIENCE_S) -> float:
    """A deadline on the loop's clock."""
    return asyncio.get_running_loop().time() + seconds


def chat(model: str, **fields: Any) -> Outgoing:
    """A chat request."""
    messages = [{"role": "user", "content": "Say hello, please"}]
    body = msgspec.json.encode({"model": model, "messages": messages, **fields})
    return Outgoing("/chat/completions", body)


def streamed(model: str) -> Outgoing:
    """A chat request for a stream."""
    return chat(model, stream=True)


async def ask(transport: Transport, out: Outgoing, timeouts: Timeouts = PATIENT) -> Incoming:
    """The complete answer."""
    return await transport.exchange(out, timeouts, soon())


async def opened(transport: Transport, out: Outgoing, timeouts: Timeouts = PATIENT) -> Source:
    """A source, which must be one."""
    source = await transport.open(out, timeouts, soon())
    assert not isinstance(source, Incoming), source
    return source


async def failure(work: Awaitable[object]) -> GatemillError:
    """The failure that `work` must end with."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            got = await work
    except GatemillError as error:
        return error
    raise AssertionError(f"it did not fail: {got!r}")


# --- Servers -------------------------------------------------------------------------------------


async def request(reader: asyncio.StreamReader) -> bytes:
    """The next whole request; b"" when the client has left."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return head + await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


@asynccontextmanager
async def raw_server(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The URL of a server that does what `handler` does, once for each connection."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@contextmanager
def nobody() -> Iterator[str]:
    """A URL where every connection is refused: its port is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def answering(*answers: bytes) -> Handler:
    """Each request on a connection gets the next of these bytes; then the connection closes."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            if not await request(reader):
                return
            writer.write(answer)
            await writer.drain()

    return handler


def ok(body: bytes = b"{}", *lines: str) -> bytes:
    """A complete 200."""
    head = ["HTTP/1.1 200 OK", f"content-length: {len(body)}", *lines]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


EVENT_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"


async def gone(reader: asyncio.StreamReader) -> None:
    """Returns when the client has closed."""
    try:
        while await reader.read(1 << 16):
            pass
    except ConnectionError:
        pass
