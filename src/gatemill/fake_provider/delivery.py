"""An answer becomes steps: headers, framing, and every fault that lives in the bytes.

Rule: knows HTTP and faults, no vendor and no socket. One `Delivery` per answer.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.fake_provider.steps import End, Event, Kind, Part, Send, Step, Wait
from gatemill.fake_provider.turn import HUGE
from gatemill.wire import sse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

BLOCK = b"x" * (64 << 10)
HANG_S = 365 * 86_400.0  # nobody waits so long; the client leaves or the provider stops
APART_S = 0.002  # long enough for loopback readers to see two writes as two
_HUGE = HUGE.encode()
_PIECES = 4  # of a complete answer that comes slowly or chunked
_GZIP_WBITS = 31  # zlib's number for the gzip container
INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: </v1>; rel=preconnect\r\n\r\n"


class Answer(Struct):
    """What is sent, before any fault in the bytes."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    events: Iterator[Event] | None = None  # a stream instead of `body`
    # The events with which the stream fails once so many events have been sent.
    broken: Callable[[int], list[Event]] | None = None


class Delivery:
    """The way of one answer to the client."""

    def __init__(self, faults: Mapping[str, float], *, version: str, keeps_alive: bool) -> None:
        self._faults = faults
        self._old = version == "1.0"  # no chunks, and open only when asked
        self._keeps_alive = keeps_alive
        self._huge_bytes = int(faults.get("huge", faults.get("gzip-bomb", 0))) << 20
        self._zips = "gzip" in faults or "gzip-bomb" in faults
        self._chunks = False  # set when the headers are made
        self._zip: zlib._Compress | None = None  # of a compressed stream, from its start on

    def steps(self, answer: Answer) -> Iterator[Step]:
        """All that happens on the connection from now on."""
        if "first-byte" in self._faults:
            yield Wait(self._faults["first-byte"])
        if "hang" in self._faults:
            yield Wait(HANG_S)
        if "abort" in self._faults:
            yield End.RESET
        if "close" in self._faults:
            yield End.CLOSE
        played = self._played(answer)
        yield from _bytewise(played) if "bytewise" in self._faults else played
        yield self._end()

    def _played(self, answer: Answer) -> Iterator[Step]:
        if "early-hints" in self._faults:
            yield Send(INTERIM, Part.INTERIM)
        yield from self._complete(answer) if answer.events is None else self._stream(answer)

    def _end(self) -> End:
        if "stale" in self._faults:
            return End.STALE
        ends = not self._keeps_alive or "no-length" in self._faults
        return End.CLOSE if ends or "keepalive-lie" in self._faults else End.KEEP

    # --- complete answers ---------------------------------------------------------------------

    def _complete(self, answer: Answer) -> Iterator[Step]:
        body = answer.body
        if "bad-json" in self._faults:
            body = body[: len(body) // 2]
        if self._zips and not self._huge_bytes:
            body = zlib.compress(body, wbits=_GZIP_WBITS)
        length: int | None = len(body) + (self._huge_bytes - len(_HUGE)) * body.count(_HUGE)
        if self._zips and self._huge_bytes:
            length = None
        if {"chunked", "bad-chunk"} & self._faults.keys():
            length = None
        head = self._head(answer, length)
        if not self._faults:
            # The usual case is one write, as from a real server.
            yield Send(head + body, Part.WHOLE)
            return
        yield Send(head, Part.HEAD)
        if "stall" in self._faults:
            yield Wait(self._faults["stall"])
        yield from self._portions(body)
        yield from self._last()

    def _portions(self, body: bytes) -> Iterator[Step]:
        pieces = self._pieces(body)
        for i, piece in enumerate(pieces):
            if "cut" in self._faults:
                yield Send(self._framed(piece[: len(piece) // 2]), Part.BODY)
                yield End.CLOSE
            if "slow" in self._faults and i:
                yield Wait(self._faults["slow"])
            for data in self._apart(piece):
                yield Send(self._framed(data), Part.BODY)
                if data is not piece:
                    yield Wait(APART_S)
            if "bad-chunk" in self._faults:
                yield from self._bad_chunk()

    def _pieces(self, body: bytes) -> Iterator[bytes]:
        """The body in parts; a huge one is made while it is sent."""
        if self._huge_bytes:
            pieces = _expanded(body, self._huge_bytes)
            yield from _zipped(pieces) if self._zips else pieces
        elif {"slow", "chunked", "bad-chunk"} & self._faults.keys():
            size = max(1, -(-len(body) // _PIECES))
            yield from (body[at : at + size] for at in range(0, len(body), size))
        else:
            yield body

    # --- streams ------------------------------------------------------------------------------

    def _stream(self, answer: Answer) -> Iterator[Step]:
        yield Send(self._head(answer, None), Part.HEAD)
        if "stall" in self._faults:
            yield Wait(self._faults["stall"])
        if self._zips:
            self._zip = zlib.compressobj(wbits=_GZIP_WBITS)
        content = 0  # content events sent
        for count, event in enumerate(answer.events or ()):
            ended = self._stopped(answer, event, content, count)
            if ended is not None:
                yield from ended
                return
            if event.kind is Kind.CONTENT:
                if content and "slow" in self._faults:
                    yield Wait(self._faults["slow"])
                content += 1
            yield from self._event(event, first=content == 1)
            if content and "bad-chunk" in self._faults:
                yield from self._bad_chunk()
        yield from self._last()

    def _stopped(
        self, answer: Answer, event: Event, content: int, count: int
    ) -> Iterator[Step] | None:
        """The stream's early end in place of `event`; None when it goes on.

        A stream with fewer content events than the fault names ends after its last one.
        """
        if event.kind is Kind.OPEN:
            return None
        over = event.kind is not Kind.CONTENT
        if "cut" in self._faults and (over or content >= self._faults["cut"]):
            return iter((End.CLOSE,))
        if (
            answer.broken is not None
            and "error-event" in self._faults
            and (over or content >= self._faults["error-event"])
        ):
            return self._failed(answer.broken(count))
        if event.kind is Kind.DONE and "no-done" in self._faults:
            return self._last()
        return None

    def _failed(self, events: list[Event]) -> Iterator[Step]:
        for event in events:
            yield from self._event(event, first=False)
        yield from self._last()

    def _event(self, event: Event, *, first: bool) -> Iterator[Step]:
        """One event; `first` is the first with content."""
        breaks = first and event.kind is Kind.CONTENT and "bad-json" in self._faults
        json = event.data[: len(event.data) // 2] if breaks else event.data
        data = sse.event(json, event.name)
        if "comments" in self._faults:
            data = b": fake-provider is still here\n\n" + data
        if "crlf" in self._faults:
            data = data.replace(b"\n", b"\r\n")
        if self._huge_bytes and _HUGE in data:
            for piece in _expanded(data, self._huge_bytes):
                yield Send(self._framed(self._flushed(piece)), Part.BODY)
            yield Send(b"", Part.EVENT)
            return
        *early, last = self._apart(data)
        for piece in early:
            yield Send(self._framed(self._flushed(piece)), Part.BODY)
            yield Wait(APART_S)
        yield Send(self._framed(self._flushed(last)), Part.EVENT)

    def _flushed(self, data: bytes) -> bytes:
        """The bytes of an event, compressed up to its last one when the stream is."""
        if self._zip is None:
            return data
        return self._zip.compress(data) + self._zip.flush(zlib.Z_SYNC_FLUSH)

    # --- framing ------------------------------------------------------------------------------

    def _head(self, answer: Answer, length: int | None) -> bytes:
        """Status line and headers; decides how the body's end is marked."""
        lines = [f"HTTP/1.1 {answer.status} {'OK' if answer.status == 200 else 'As Told'}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        if "retry-after" in self._faults:
            lines.append(f"retry-after: {self._faults['retry-after']:g}")
        if self._zips:
            lines.append("content-encoding: gzip")
        if "no-length" in self._faults or (length is None and self._old):
            self._keeps_alive = False
        elif length is None:
            self._chunks = True
            lines.append("transfer-encoding: chunked")
        else:
            lines.append(f"content-length: {length}")
        if not self._keeps_alive:
            lines.append("connection: close")
        elif self._old:
            lines.append("connection: keep-alive")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunks and data else data

    def _last(self) -> Iterator[Step]:
        """What ends a body, if anything: the rest of a compressed stream, and the last chunk."""
        rest = b"" if self._zip is None else self._framed(self._zip.flush())
        if data := rest + (b"0\r\n\r\n" if self._chunks else b""):
            yield Send(data, Part.BODY)

    def _apart(self, data: bytes) -> list[bytes]:
        return inside_characters(data) if "split-utf8" in self._faults else [data]

    def _bad_chunk(self) -> Iterator[Step]:
        yield Send(b"zz\r\n", Part.BODY)
        yield End.CLOSE


def inside_characters(data: bytes) -> list[bytes]:
    """The bytes cut before every one that continues a UTF-8 character."""
    cuts = [i for i, byte in enumerate(data) if byte & 0xC0 == 0x80]
    return [data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def _expanded(data: bytes, size: int) -> Iterator[bytes]:
    """`data` with `size` bytes in place of each mark."""
    for i, piece in enumerate(data.split(_HUGE)):
        if i:
            yield from (BLOCK for _ in range(size // len(BLOCK)))
        if piece:
            yield piece


def _zipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces as one compressed file; nothing but zlib's window is held."""
    packer = zlib.compressobj(wbits=_GZIP_WBITS)
    for piece in pieces:
        if data := packer.compress(piece):
            yield data
    yield packer.flush()


def _bytewise(steps: Iterator[Step]) -> Iterator[Step]:
    """The same bytes, each in a write and a loop turn of its own."""
    for step in steps:
        if not isinstance(step, Send):
            yield step
            continue
        for i in range(len(step.data) - 1):
            # Headers count as sent with their first byte, an event with its last.
            part = Part.BODY if step.part is Part.EVENT else step.part
            yield Send(step.data[i : i + 1], part)
            yield Wait(0)
        yield Send(step.data[-1:], step.part)
