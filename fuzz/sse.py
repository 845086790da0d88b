"""Server-sent events of a provider, cut anywhere. Rule: what leaves depends on the bytes, not on the cuts."""

from __future__ import annotations

from gatemill.core.errors import UpstreamBadReply
from gatemill.wire import sse

_MARK = b"\xef\xbb\xbf"  # of the byte order, which is no part of the stream


def one(data: bytes) -> None:
    """`data`: a byte that says how long the pieces are, then the stream."""
    step, stream = data[:1], data[1:]
    whole = _fed(stream, len(stream) or 1)
    cut = _fed(stream, (step or b"\1")[0] % 7 + 1)
    assert list(sse.events(cut)) == list(sse.events(whole))
    plain = stream.removeprefix(_MARK).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for left in (whole, cut):  # at most an empty line more or less at the end
        assert not left or left.endswith(b"\n\n")
        assert plain.startswith(left)
        assert b"\n\n" not in plain[len(left) :].lstrip(b"\n")
    for name, value in sse.events(whole):
        again = sse.event(value, name) if b"\n" not in value else b""
        assert not again or _same(again, (name, value))


def _fed(stream: bytes, step: int) -> bytes:
    cutter = sse.Cutter()
    try:
        return b"".join(cutter.feed(stream[at : at + step]) for at in range(0, len(stream), step))
    except UpstreamBadReply:
        return b""


def _same(event: bytes, said: tuple[str, bytes]) -> bool:
    return list(sse.events(event)) == [said]
