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


class Cutter:
    """Holds back what is not yet a whole event."""

    __slots__ = ("_carry",)

    def __init__(self) -> None:
        self._carry = b""  # written and read by feed alone

    def feed(self, data: bytes) -> bytes:
        """All whole events so far, line ends as LF. Raises UpstreamBadReply above EVENT_BYTES_MAX."""
        if self._carry:
            data = self._carry + data
        if b"\r" in data:
            # A CR at the very end may be half of a CRLF: it waits for the next bytes.
            held = b"\r" if data.endswith(b"\r") else b""
            data = data.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held
        if data.endswith(b"\n\n"):
            self._carry = b""
            return data
        cut = data.rfind(b"\n\n") + 2
        if cut == 1:
            cut = 0
        self._carry = data[cut:]
        if len(self._carry) > EVENT_BYTES_MAX:
            raise UpstreamBadReply("The provider sent an event larger than 8 MiB.")
        return data[:cut]

    def rest(self) -> bytes:
        """Bytes of an event that never ended."""
        return self._carry


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


def event(data: bytes, name: str = "") -> bytes:
    """One event. `data` is JSON and so has no line end of its own."""
    if name:
        return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
    return b"data: %b\n\n" % data
