"""Pass-through of an Anthropic stream: bytes in, the same bytes out.

Rule: content deltas are never parsed. An event is read only when it holds one of the quoted markers
below, which cannot occur inside a JSON string: there, their quotes would be escaped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gatemill.core.errors import UpstreamBadReply, UpstreamInterrupted
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


_decode = msgspec.json.Decoder(_Event).decode


class Relay:
    """One stream on its way through; satisfies ports.Transform."""

    __slots__ = ("_complete", "_counts", "_cutter", "started", "usage")

    def __init__(self) -> None:
        self.started = False
        self.usage: Usage | None = None
        self._cutter = sse.Cutter()
        self._counts: Counts | None = None  # merged from message_start and message_delta
        self._complete = False  # message_stop has passed

    def feed(self, data: bytes) -> bytes:
        """Whole events, unchanged. Raises what an error event means."""
        block = self._cutter.feed(data)
        if not block:
            return b""
        if not self.started and b"content_block_" in block:
            self.started = True
        if any(marker in block for marker in _MARKERS):
            self._inspect(block)
        return block

    def finish(self) -> bytes:
        """Nothing more. Raises UpstreamInterrupted without a message_stop."""
        if not self._complete:
            raise UpstreamInterrupted("The provider's stream ended before the answer was complete.")
        return b""

    def _inspect(self, block: bytes) -> None:
        for name, data in sse.events(block):
            if name == "error" or any(marker in data for marker in _MARKERS):
                self._read(name, data)

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
            self._complete = True

    def _add(self, counts: Counts) -> None:
        self._counts = merged(self._counts, counts)
        self.usage = usage_of(self._counts)
