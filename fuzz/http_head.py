"""Bytes on a connection. Rule: a request that we take is the same request to another strict reader.

The other one is h11. What it reads as two requests and we as one, or with another body, is smuggling.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any

import h11

from gatemill.edge.door import Door, Limits
from gatemill.edge.front import Front
from gatemill.edge.guest import Guest
from gatemill.edge.sides import BOTH, Side

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from gateway_parts import Stage

LIMITS = Limits(
    body_bytes=4096,
    upload_bytes=8192,
    header_bytes=8192,
    header_count=64,
    header_timeout_s=10,
    body_idle_s=10,
    body_bytes_per_s=1,
    write_stall_s=30,
    keep_alive_s=5,
    connections=10,
)
HOST = "127.0.0.1"


class _Silent(Guest):
    """Stands where uvicorn does, and takes everything."""

    def connection_made(self, transport: Any) -> None: ...
    def connection_lost(self, exc: Any) -> None: ...
    def data_received(self, data: bytes) -> None: ...
    def eof_received(self) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def shutdown(self) -> None: ...


class _Pipe(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = write_eof = close

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class _Watched(Front):
    """Writes down each request that came whole."""

    def __init__(self, door: Door, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(door, loop)
        self.seen: list[tuple[bytes, bytes, int]] = []

    def on_message_complete(self) -> None:
        arrival = self._arrival
        assert arrival is not None
        if not (arrival.upgrade and self._parser.should_upgrade()):  # those are read once more
            self.seen.append((self._parser.get_method(), arrival.path, arrival.body_bytes))
        super().on_message_complete()


_loop = asyncio.new_event_loop()


async def _make() -> Door:
    return Door(Stage().gateway, LIMITS, {BOTH: Side(frozenset((HOST,)), _Silent)})


_door = _loop.run_until_complete(_make())


def one(data: bytes) -> None:
    """`data`: a byte that says how long the pieces are, then what comes on the connection."""
    step = ((data[:1] or b"\1")[0] % 64 + 1) * 16
    _loop.run_until_complete(_play(data[1:], step))


async def _play(stream: bytes, step: int) -> None:
    pipe = _Pipe()
    front = _Watched(_door, _loop)
    front.connection_made(pipe)
    for at in range(0, len(stream), step):
        front.data_received(stream[at : at + step])
        for _ in range(3):
            await asyncio.sleep(0)
    statuses = [part[:3] for part in pipe.written.split(b"HTTP/1.1 ")[1:]]
    assert not [status for status in statuses if status.startswith(b"5")], pipe.written
    seen = front.seen
    assert len(statuses) <= len(seen) + 1 + stream.count(b"100-continue"), pipe.written
    front.connection_lost(None)
    others = _h11(stream)
    for ours, theirs in zip(seen, others, strict=False):
        if theirs is None:
            break
        assert ours == theirs, (ours, theirs)
    assert len(seen) <= len(others), (seen, others)


def _h11(stream: bytes) -> list[tuple[bytes, bytes, int] | None]:
    """What h11 reads; None at its end where it leaves HTTP, as after CONNECT."""
    found: list[tuple[bytes, bytes, int] | None] = []
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(stream)
    method = target = b""
    length = 0
    with contextlib.suppress(h11.RemoteProtocolError):
        while (event := connection.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Request):
                method, target, length = event.method, event.target, 0
            elif isinstance(event, h11.Data):
                length += len(event.data)
            elif isinstance(event, h11.EndOfMessage):
                found.append((method, target, length))
                if not _next(connection):
                    return [*found, None]
            elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return [*found, None]
    return found


def _next(connection: h11.Connection) -> bool:
    try:
        connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
        connection.send(h11.EndOfMessage())
        connection.start_next_cycle()
    except h11.LocalProtocolError:  # it would close here; what follows is nobody's
        return False
    return True
