"""Pass-through of an Anthropic stream: bytes in, the same bytes out.

Rule: content deltas are never parsed. An event is read only when it holds one of the quoted markers
below, which cannot occur inside a JSON string: there, their quotes would be escaped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gatemill.core.errors import GatemillError, UpstreamBadReply, UpstreamInterrupted
from gatemill.wire import sse
from gatemill.wire.messages.failures import error_said, failure_of
from gatemill.wire.messages.words import Counts, merged, usage_of

if TYPE_CHECKING:
    from gatemill.core.call import Usage

# message_start, message_delta, message_stop; an error as `type`, or only as the event's name.
_MARKERS = (b'"message_', b'"error"', b"event: error", b"event:error")


class _Message(Struct):
    usage: Counts | None = None


class _Event(Struct):
    type: str = ""
    message: _Message | None = None
    usage: Counts | None = None


_decode = msgspec.json.Decoder(_Event, strict=False).decode


class Relay:
    """One stream on its way through; satisfies ports.Transform."""

    __slots__ = ("_counts", "_cutter", "_failure", "is_over", "started", "usage")

    def __init__(self) -> None:
        self.started = False
        self.is_over = False  # message_stop has passed, or a failure that was held
        self.usage: Usage | None = None
        self._cutter = sse.Cutter()
        self._counts: Counts | None = None  # merged from message_start and message_delta
        self._failure: GatemillError | None = None  # came behind events that had to leave first

    def feed(self, data: bytes) -> bytes:
        """Whole events, unchanged. Raises what an error event means.

        A failure behind other events lets those out first, and is raised by the next call.
        """
        if self._failure is not None:
            raise self._failure
        block = self._cutter.feed(data)
        if any(marker in block for marker in _MARKERS):
            block = self._inspected(block)
        if not self.started and b"content_block_" in block:
            self.started = True
        return block

    def finish(self) -> bytes:
        """Nothing more. Raises UpstreamInterrupted without a message_stop, or what feed held."""
        if self._failure is not None:
            raise self._failure
        if not self.is_over:
            raise UpstreamInterrupted("The provider's stream ended before the answer was complete.")
        return b""

    def _inspected(self, block: bytes) -> bytes:
        """The events before the first failure."""
        at = 0
        while at < len(block):
            end = sse.end_of(block, at)
            try:
                for name, data in sse.events(block[at:end]):
                    if name == "error" or any(marker in data for marker in _MARKERS):
                        self._read(name, data)
            except GatemillError as failure:
                if not at:
                    raise
                if not self.is_over:
                    self._failure = failure
                    self.is_over = True
                return block[:at]
            at = end
        return block

    def _read(self, name: str, data: bytes) -> None:
        try:
            event = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            if name == "error":
                raise failure_of("api_error", error_said(data)) from None
            raise UpstreamBadReply("The provider's stream holds a malformed event.") from None
        kind = event.type or name
        if kind == "error":
            said = error_said(data)
            raise failure_of(said.type or "api_error", said)
        if kind == "message_start" and event.message and event.message.usage:
            self._add(event.message.usage)
        elif kind == "message_delta":
            self.started = True  # an answer without content ends here too
            if event.usage:
                self._add(event.usage)
        elif kind == "message_stop":
            self.is_over = True

    def _add(self, counts: Counts) -> None:
        self._counts = merged(self._counts, counts)
        self.usage = usage_of(self._counts)
