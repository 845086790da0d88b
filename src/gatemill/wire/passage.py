"""Pass-through of OpenAI chat and completion streams: bytes in, the same bytes out.

Rule: an event is parsed only until content has begun, and afterwards only when a byte marker says
that it may hold usage or a failure. A marker such as `"error":` cannot occur inside a JSON string,
where its quotes would be escaped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct

from gatemill.core.errors import GatemillError, UpstreamBadReply, UpstreamError, UpstreamInterrupted
from gatemill.wire import sse
from gatemill.wire.fields import OpenAIUsage, from_openai_usage

if TYPE_CHECKING:
    from gatemill.core.call import Usage

_NULL = Raw(b"null")  # an absent field: `Raw | None` would take null alone
_EMPTY = frozenset((b"null", b'""', b"[]", b"{}"))


class _Choice(Struct):
    delta: dict[str, Raw] | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: OpenAIUsage | None = None
    error: Raw = _NULL


_decode = msgspec.json.Decoder(_Chunk, strict=False).decode


class ChatPassage:
    """One stream on its way through; satisfies ports.Transform."""

    __slots__ = ("_complete", "_cutter", "_failure", "_strip_usage", "is_over", "started", "usage")

    def __init__(self, *, strip_usage: bool) -> None:
        self.started = False
        self.is_over = False  # the end mark has passed, or a failure that was held
        self.usage: Usage | None = None
        self._strip_usage = strip_usage
        self._cutter = sse.Cutter()
        self._complete = False  # a finish_reason or the usage has passed
        self._failure: GatemillError | None = None  # came behind events that had to leave first

    def feed(self, data: bytes) -> bytes:
        """Whole events; without the usage chunk when the caller did not ask for it.

        A failure behind other events lets those out first, and is raised by the next call.
        """
        if self._failure is not None:
            raise self._failure
        return self._sift(self._cutter.feed(data))

    def finish(self) -> bytes:
        """The end mark if the upstream forgot it. Raises UpstreamInterrupted, or what feed held."""
        if self._failure is not None:
            raise self._failure
        if self.is_over:
            return b""
        if self._complete:
            return sse.DONE
        raise UpstreamInterrupted("The provider's stream ended before the answer was complete.")

    def _sift(self, block: bytes) -> bytes:
        out: list[bytes] = []
        while block:
            if self.started:
                # All up to the next event that has to be read goes through in one piece.
                unread = _first_marked(block)
                if unread < 0:
                    out.append(block)
                    break
                if unread:
                    out.append(block[:unread])
                    block = block[unread:]
            event, _, block = block.partition(b"\n\n")
            try:
                keeps = bool(event) and self._keeps(event)
            except GatemillError as error:
                if not out:
                    raise
                if not self.is_over:
                    self._failure = error
                    self.is_over = True
                break
            if keeps:
                out.append(event + b"\n\n")
        return out[0] if len(out) == 1 else b"".join(out)

    def _keeps(self, raw: bytes) -> bool:
        for _, data in sse.events(raw):
            if data.strip() == b"[DONE]":
                self.is_over = True
                return True
            return self._reads(data)
        return True  # a comment: some vendors send them to keep the connection open

    def _reads(self, data: bytes) -> bool:
        try:
            chunk = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise UpstreamBadReply(
                "The provider's stream holds an event that is not JSON."
            ) from None
        if bytes(chunk.error) != b"null":
            raise in_band_failure(bytes(chunk.error))
        choices = chunk.choices or ()
        if any(choice.finish_reason for choice in choices):
            self._complete = True
        if not self.started:
            self.started = self._complete or any(map(_has_content, choices))
        if chunk.usage is None:
            return True
        self.usage = from_openai_usage(chunk.usage) or self.usage
        if choices:
            return True
        self._complete = True
        return not self._strip_usage


def _first_marked(block: bytes) -> int:
    """Where the first event begins that has to be read; -1 for none."""
    if block.startswith((b"data: [DONE]", b"data:[DONE]")):
        return 0
    found = [at for at in map(block.find, _MARKERS) if at >= 0]
    if not found:
        return -1
    before = block.rfind(b"\n\n", 0, min(found) + 1)
    return before + 2 if before >= 0 else 0


_MARKERS = (
    b'"usage":{',
    b'"usage": {',
    b'"finish_reason":"',
    b'"finish_reason": "',
    b'"error":',
    b'"error" :',
    b"\ndata: [DONE]",
    b"\ndata:[DONE]",
)


def _has_content(choice: _Choice) -> bool:
    if choice.text:
        return True
    delta = choice.delta or {}
    return any(name != "role" and bytes(value) not in _EMPTY for name, value in delta.items())


class _InBand(Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None


_in_band = msgspec.json.Decoder(_InBand).decode


def in_band_failure(error: bytes) -> GatemillError:
    """The error that an upstream reported inside a stream; its text stays inside."""
    try:
        read = _in_band(error)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        read = _InBand()
    said = read.code or read.type or "no code"
    return UpstreamError(f"The provider reported a failure inside its stream ({str(said)[:60]}).")
