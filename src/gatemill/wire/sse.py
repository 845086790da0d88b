"""Server-sent events. Rule: what arrives cut anywhere leaves as whole events.

Source: WHATWG HTML, section "Server-sent events" (lines end in LF, CRLF or CR; a blank line ends
an event; fields `event`, `data`, `id`, `retry`; a line that starts with a colon is a comment).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.errors import UpstreamBadReply

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT_BYTES_MAX = 8 << 20  # one event; images in base64 are the largest seen
DONE = b"data: [DONE]\n\n"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Cutter:
    """Holds back what is not yet a whole event."""

    __slots__ = ("_after_cr", "_begun", "_held", "_held_bytes")

    def __init__(self) -> None:
        self._begun = False  # the first event has come
        self._held: list[bytes] = []  # the beginning of an event
        self._held_bytes = 0
        self._after_cr = False  # the last byte was a CR, so a LF that follows ends no other line

    def feed(self, data: bytes) -> bytes:
        """All whole events so far, line ends as LF. Raises UpstreamBadReply above EVENT_BYTES_MAX."""
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        held = self._held
        if not held and data.endswith(b"\n\n"):
            return data if self._begun else self._first(data)
        cut = data.rfind(b"\n\n") + 2
        across = held and data.startswith(b"\n") and held[-1].endswith(b"\n")
        if cut == 1 and not across:
            return self._hold(data)
        whole = b"".join((*held, data[:cut]))
        held.clear()
        self._held_bytes = 0
        self._hold(data[cut:])
        return whole if self._begun else self._first(whole)

    def _first(self, block: bytes) -> bytes:
        self._begun = True
        return block.removeprefix(_BYTE_ORDER_MARK)  # of the stream, as the standard has it

    def _hold(self, data: bytes) -> bytes:
        if data:
            self._held.append(data)
            self._held_bytes += len(data)
            if self._held_bytes > EVENT_BYTES_MAX:
                raise UpstreamBadReply("The provider sent an event larger than 8 MiB.")
        return b""


def events(block: bytes) -> Iterator[tuple[str, bytes]]:
    """(event name, data) of each event in `block`, which holds whole events; comments are left out.

    The name is "" where the event has none; several data lines are joined by LF.
    """
    for raw in block.split(b"\n\n"):
        name = ""
        data: bytes | None = None
        for line in raw.split(b"\n"):
            if line.startswith(b"data:"):
                value = line[6:] if line.startswith(b"data: ") else line[5:]
                data = value if data is None else data + b"\n" + value
            elif line.startswith(b"event:"):
                name = line[6:].strip().decode("utf-8", "replace")
        if data is not None:
            yield name, data


def end_of(block: bytes, at: int) -> int:
    """Where the event that begins at `at` ends; more blank lines than one may follow the last."""
    end = block.find(b"\n\n", at)
    return len(block) if end < 0 else end + 2


def event(data: bytes, name: str = "") -> bytes:
    """One event. `data` is JSON and so has no line end of its own."""
    if name:
        return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
    return b"data: %b\n\n" % data
