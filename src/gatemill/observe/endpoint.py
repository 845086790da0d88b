"""/metrics of a process without a door, on this machine alone.

Rule: bounded in connections, bytes and time; it reads nothing but a request's head, and answers one
path. Only names of this machine are served: a page elsewhere must not reach it by a name of its own.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from gatemill.core.version import VERSION
from gatemill.observe.metrics import page

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.observe.metrics import Meter

HOST = "127.0.0.1"
CONNECTIONS_MAX = 16  # more are closed
PATIENCE_S = 5.0  # of a request and its answer
HEAD_BYTES_MAX = 8 << 10
_NAMES = (b"127.0.0.1", b"localhost", b"")
_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


async def listen(port: int, current: Callable[[], tuple[Meter, str]]) -> asyncio.Server:
    """Somebody answers. `current` gives the numbers and the configuration's version. Raises OSError."""
    open_now = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        open_now += 1
        try:
            if open_now <= CONNECTIONS_MAX:
                # What goes wrong with one scrape is nobody else's business.
                with suppress(OSError, TimeoutError, EOFError, asyncio.LimitOverrunError):
                    async with asyncio.timeout(PATIENCE_S):
                        head = await reader.readuntil(b"\r\n\r\n")
                        writer.write(await _answer(head, current))
                        await writer.drain()
        finally:
            open_now -= 1
            writer.close()

    return await asyncio.start_server(answer, HOST, port, limit=HEAD_BYTES_MAX)


async def _answer(head: bytes, current: Callable[[], tuple[Meter, str]]) -> bytes:
    line, *fields = head.split(b"\r\n")
    method, _, rest = line.partition(b" ")
    hosts = [
        value
        for name, _, value in (one.partition(b":") for one in fields)
        if name.lower() == b"host"
    ]
    name = hosts[0].strip().partition(b":")[0].lower() if hosts else b""
    if name not in _NAMES or len(hosts) > 1:
        return _said(b"421 Misdirected Request", b"This Host is not served here. Use 127.0.0.1.\n")
    if rest.partition(b" ")[0].partition(b"?")[0] != b"/metrics":
        return _said(b"404 Not Found", b"There is only /metrics.\n")
    if method != b"GET":
        return _said(b"405 Method Not Allowed", b"Use GET.\n")
    meter, version = current()
    await meter.refresh()
    return _said(b"200 OK", page(meter, VERSION, version))


def _said(status: bytes, body: bytes) -> bytes:
    return (
        b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
        % (
            status,
            _TYPE,
            len(body),
            body,
        )
    )
