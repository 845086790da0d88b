"""A caller's server that is told of jobs: real sockets, scripted answers.

async with Sink() as sink:
    sink.answers = [503, 200]      # in this order; then 200
    sink.url, sink.seen
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from msgspec import Struct

HANG = "hang"  # takes the request and says nothing
CLOSE = "close"  # takes the request and hangs up
Answer = int | bytes | str  # a status, the bytes of an answer, HANG or CLOSE


class Seen(Struct):
    """A request."""

    line: str
    headers: dict[str, str]
    body: bytes
    at_s: float  # of the loop

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


def answer(status: int, *headers: str, body: bytes = b"ok") -> bytes:
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {status} Words", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Sink:
    """Listens on a free port; `host` is an address of this machine."""

    def __init__(
        self, host: str = "127.0.0.1", path: str = "/hook", tls: ssl.SSLContext | None = None
    ) -> None:
        self.answers: list[Answer] = []
        self.by_default: Answer = 200
        self.seen: list[Seen] = []
        self.connections = 0
        self.port = 0
        self.host = host
        self.path = path
        self.on_request: Callable[[Seen], None] = lambda seen: None
        self.tls = tls
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.tls else ''}://{host}:{self.port}{self.path}"

    async def __aenter__(self) -> Sink:
        self._server = await asyncio.start_server(self._handle, self.host, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._handlers:
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        await self._server.wait_closed()

    async def saw(self, count: int, within_s: float = 60.0) -> list[Seen]:
        """All requests, once there are `count`."""
        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(lambda: len(self.seen) >= count)
        return self.seen

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self.connections += 1
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side has hung up, or the test is over
        finally:
            writer.close()
            self._handlers.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        pairs = [line.partition(": ") for line in head[1:]]
        headers = {name.lower(): value for name, _, value in pairs}
        assert len(headers) == len(pairs), f"a header came twice: {head}"
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        seen = Seen(head[0], headers, body, asyncio.get_running_loop().time())
        said = self.answers.pop(0) if self.answers else self.by_default
        self.on_request(seen)
        async with self._news:
            self.seen.append(seen)
            self._news.notify_all()
        if said == HANG:
            await asyncio.Event().wait()
        if said == CLOSE:
            return
        writer.write(answer(said) if isinstance(said, int) else said)
        await writer.drain()
