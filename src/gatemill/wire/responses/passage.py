"""Pass-through of OpenAI's response streams: bytes in, the same bytes out.

Rule: an event is parsed only until content has begun, and afterwards only when a byte marker says
that it may end the response. A marker is the quoted name of such an event; a delta whose whole
text is that name matches too, and parsing tells the two apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gatemill.core.errors import (
    ContentRefused,
    ContextLengthExceeded,
    GatemillError,
    UpstreamBadReply,
    UpstreamError,
    UpstreamInterrupted,
    UpstreamOverloaded,
    UpstreamQuotaSpent,
    UpstreamRateLimited,
)
from gatemill.wire import sse
from gatemill.wire.failure import clean
from gatemill.wire.fields import CompletionDetails, Count, PromptDetails, buckets

if TYPE_CHECKING:
    from gatemill.core.call import Usage

# Events that show no content: another target may still take over after them.
_LIFECYCLE = frozenset(
    (
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.reasoning_summary_part.added",
        "keepalive",
        "ping",
    )
)
_MARKERS = (b'"response.completed"', b'"response.incomplete"', b'"response.failed"', b'"error"')

_REFUSED = "The provider's content policy refused the prompt. Change the prompt."
_KINDS: dict[str, tuple[type[GatemillError], str]] = {
    "rate_limit_exceeded": (
        UpstreamRateLimited,
        "The provider limits the rate of requests. Retry later.",
    ),
    "insufficient_quota": (
        UpstreamQuotaSpent,
        "The provider account has no credit left. Top it up.",
    ),
    "server_is_overloaded": (UpstreamOverloaded, "The provider is overloaded. Retry later."),
    "context_length_exceeded": (
        ContextLengthExceeded,
        "The prompt does not fit the model. Send less, or choose a model with a longer context.",
    ),
    "invalid_prompt": (ContentRefused, _REFUSED),
    "bio_policy": (ContentRefused, _REFUSED),
    "image_content_policy_violation": (ContentRefused, _REFUSED),
}


class ReplyUsage(Struct):
    """The usage object of a response."""

    input_tokens: Count | None = 0
    output_tokens: Count | None = 0
    total_tokens: Count | None = 0
    input_tokens_details: PromptDetails | None = None
    output_tokens_details: CompletionDetails | None = None


class _Failure(Struct):
    code: str | None = None


class _Response(Struct):
    usage: ReplyUsage | None = None
    error: _Failure | None = None


class _Event(Struct):
    type: str
    response: _Response | None = None
    code: str | None = None
    error: _Failure | None = None  # some vendors nest what OpenAI's error event has at the top


_decode = msgspec.json.Decoder(_Event, strict=False).decode


class ResponsesPassage:
    """One stream on its way through; satisfies ports.Transform."""

    __slots__ = ("_cutter", "_failure", "is_over", "started", "usage")

    def __init__(self) -> None:
        self.started = False
        self.is_over = False  # completed or incomplete has passed, or a failure that was held
        self.usage: Usage | None = None
        self._cutter = sse.Cutter()
        # Set when a failure follows other events in one block: they leave first, then it is raised.
        self._failure: GatemillError | None = None

    def feed(self, data: bytes) -> bytes:
        """Whole events as they came. Raises the failure that the upstream reported."""
        if self._failure is not None:
            raise self._failure
        block = self._cutter.feed(data)
        if self.started and not any(marker in block for marker in _MARKERS):
            return block
        return self._read(block)

    def finish(self) -> bytes:
        """Nothing. Raises UpstreamInterrupted unless the response was completed or incomplete."""
        if self._failure is not None:
            raise self._failure
        if self.is_over:
            return b""
        raise UpstreamInterrupted("The provider's stream ended before the response was complete.")

    def _read(self, block: bytes) -> bytes:
        at = 0
        while at < len(block):
            end = sse.end_of(block, at)
            try:
                self._note(block[at:end])
            except GatemillError as failure:
                if at == 0:
                    raise
                if not self.is_over:
                    self._failure = failure
                    self.is_over = True
                return block[:at]
            at = end
        return block

    def _note(self, raw: bytes) -> None:
        for _, data in sse.events(raw):
            if data.strip() == b"[DONE]":  # not part of this format, and harmless
                continue
            event = _parsed(data)
            is_failure = event.type in ("response.failed", "error")
            is_end = event.type in ("response.completed", "response.incomplete")
            if (is_failure or is_end) and event.response and event.response.usage:
                self.usage = usage_of(event.response.usage)
            if is_failure:
                raise failure_of(event)
            self.is_over = self.is_over or is_end
            self.started = self.started or event.type not in _LIFECYCLE


def usage_of(usage: ReplyUsage) -> Usage | None:
    """Disjoint buckets of a response's usage object; None for one that tells of no token."""
    if not (usage.input_tokens or usage.output_tokens or usage.total_tokens):
        return None
    return buckets(
        usage.input_tokens or 0,
        usage.output_tokens or 0,
        usage.input_tokens_details,
        usage.output_tokens_details,
        usage.total_tokens or 0,
    )


def failure_of(event: _Event) -> GatemillError:
    """The error that a failed response or an error event means; its text stays inside."""
    nested = event.error or (event.response.error if event.response else None)
    code = event.code or (nested.code if nested else None) or "no code"
    kind, message = _KINDS.get(code, (UpstreamError, ""))
    return kind(
        message or f"The provider reported a failure inside its stream ({clean(code)[:60]})."
    )


def _parsed(data: bytes) -> _Event:
    try:
        return _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UpstreamBadReply("The provider's stream holds an event that is not JSON.") from None
