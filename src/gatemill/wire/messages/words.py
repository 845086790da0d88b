"""Anthropic's words and ours: stop reasons and usage.

Rule: both directions read the same tables. Anthropic's input_tokens exclude what was read from or
written to a prompt cache; its output_tokens include thinking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct

from gatemill.core.call import Usage
from gatemill.core.errors import UpstreamBadReply
from gatemill.wire.fields import Count

if TYPE_CHECKING:
    from gatemill.core.ports import Json

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


def stop_reason(finish: str | None, *, refuses: bool, calls: bool) -> str:
    """Anthropic's stop_reason for the hub's finish_reason.

    `refuses`: the answer is a refusal text. `calls`: it holds tool calls; some vendors then still
    say "stop", while Anthropic's clients run tools only on "tool_use".
    """
    if refuses:
        return "refusal"
    if calls and finish in ("stop", None):
        return "tool_use"
    return STOP_REASONS.get(finish or "", "end_turn")


class Details(Struct):
    """output_tokens_details."""

    thinking_tokens: Count | None = None


class Written(Struct):
    """cache_creation: of the tokens written, those to be kept for an hour."""

    ephemeral_1h_input_tokens: Count | None = None


class Counts(Struct):
    """Anthropic's usage object, of an answer or of one stream event."""

    input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_creation: Written | None = None
    cache_read_input_tokens: Count | None = None
    output_tokens: Count | None = None
    output_tokens_details: Details | None = None


def merged(old: Counts | None, new: Counts) -> Counts:
    """Both events of a stream in one. Counts are cumulative, so the larger one is the later one."""
    if old is None:
        return new
    return Counts(
        input_tokens=max(old.input_tokens or 0, new.input_tokens or 0),
        cache_creation_input_tokens=max(
            old.cache_creation_input_tokens or 0, new.cache_creation_input_tokens or 0
        ),
        cache_creation=new.cache_creation or old.cache_creation,
        cache_read_input_tokens=max(
            old.cache_read_input_tokens or 0, new.cache_read_input_tokens or 0
        ),
        output_tokens=max(old.output_tokens or 0, new.output_tokens or 0),
        output_tokens_details=new.output_tokens_details or old.output_tokens_details,
    )


def usage_of(counts: Counts) -> Usage | None:
    """Disjoint buckets; None for counts that tell of no token: no answer has none."""
    completion = counts.output_tokens or 0
    details = counts.output_tokens_details
    thought = min(details.thinking_tokens or 0, completion) if details else 0
    written = counts.cache_creation_input_tokens or 0
    lasting = counts.cache_creation
    hour = min(lasting.ephemeral_1h_input_tokens or 0, written) if lasting else 0
    fresh, read = counts.input_tokens or 0, counts.cache_read_input_tokens or 0
    if not (fresh or read or written or completion):
        return None
    return Usage(
        input=fresh,
        cache_read=read,
        cache_write=written - hour,
        cache_write_1h=hour,
        output=completion - thought,
        reasoning=thought,
    )


def usage_object(usage: Usage) -> Json:
    """Anthropic's usage object."""
    return {
        "input_tokens": usage.input + usage.input_audio,
        "cache_creation_input_tokens": usage.cache_written,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.completion,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
    }


_NULL = Raw(b"null")


class _Reply(Struct):
    content: list[Raw] | None = None
    usage: Counts | None = None
    error: Raw = _NULL  # Raw | None would take null alone


_reply = msgspec.json.Decoder(_Reply, strict=False).decode


def reply_usage(body: bytes) -> Usage | None:
    """Usage in a complete answer. Raises UpstreamBadReply."""
    try:
        read = _reply(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UpstreamBadReply("The provider's answer is not what its API defines.") from None
    if bytes(read.error) != b"null":
        raise UpstreamBadReply("The provider answered 200 with an error inside.")
    if read.content is None:
        raise UpstreamBadReply("The provider's answer holds no content.")
    return usage_of(read.usage) if read.usage else None
