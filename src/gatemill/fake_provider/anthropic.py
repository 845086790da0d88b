"""Anthropic's messages, count_tokens and models. Rule: shapes only; turn.py decides what is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gatemill.fake_provider.steps import Event, Kind
from gatemill.fake_provider.turn import Json, Turn, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gatemill.fake_provider.failures import Failure

_STOP = {"stop": "end_turn", "length": "max_tokens", "tools": "tool_use", "refusal": "refusal"}
SIGNATURE = "ZmFrZS1wcm92aWRlciBzaWduZWQgdGhpcw=="


def message(turn: Turn) -> Json:
    """A complete message."""
    answer: Json = {
        **_envelope(turn),
        "stop_details": None,
        "content": [block.whole for block in _blocks(turn)],
        "stop_reason": _STOP[turn.finish],
        "stop_sequence": None,
    }
    if turn.says_usage:
        answer["usage"] = _usage(turn, turn.completion_tokens)
    return answer


def message_events(turn: Turn) -> Iterator[Event]:
    """The same as events; usage comes in message_start and again, cumulative, in message_delta."""
    opened: Json = {**_envelope(turn), "content": [], "stop_reason": None, "stop_sequence": None}
    if turn.says_usage:
        opened["usage"] = _usage(turn, min(1, turn.completion_tokens))
    yield _event({"type": "message_start", "message": opened})
    for index, block in enumerate(_blocks(turn)):
        opening = {"type": "content_block_start", "index": index, "content_block": block.start}
        yield _event(opening)
        if index == 0:
            yield _event({"type": "ping"})
        for delta in block.deltas:
            change = {"type": "content_block_delta", "index": index, "delta": delta}
            yield _event(change, Kind.CONTENT)
        yield _event({"type": "content_block_stop", "index": index})
    change = {"stop_reason": _STOP[turn.finish], "stop_sequence": None}
    closing: Json = {"type": "message_delta", "delta": change}
    if turn.says_usage:
        closing["usage"] = _usage(turn, turn.completion_tokens)
    yield _event(closing, Kind.CLOSE)
    yield _event({"type": "message_stop"}, Kind.DONE)


def count(tokens: int) -> Json:
    """The answer of count_tokens."""
    return {"input_tokens": tokens}


def models(names: Sequence[str]) -> Json:
    """The list of models, one page."""
    return {
        "data": [model(name) for name in names],
        "has_more": False,
        "first_id": names[0],
        "last_id": names[-1],
    }


def model(name: str) -> Json:
    """One model."""
    created_at = "2026-01-01T00:00:00Z"
    return {"type": "model", "id": name, "display_name": name, "created_at": created_at}


def failure(failed: Failure, request_id: str) -> Json:
    """Anthropic's error object."""
    error = {"type": failed.anthropic_type, "message": failed.message}
    return {"type": "error", "error": error, "request_id": request_id}


def failure_events(failed: Failure) -> list[Event]:
    """The error as it comes within a stream."""
    error = {"type": failed.anthropic_type, "message": failed.message}
    return [_event({"type": "error", "error": error})]


def _envelope(turn: Turn) -> Json:
    identity = f"msg_fake{turn.number:08d}"
    return {"id": identity, "type": "message", "role": "assistant", "model": turn.model}


def _usage(turn: Turn, output_tokens: int) -> Json:
    return {
        "input_tokens": turn.prompt_tokens,
        "cache_creation_input_tokens": turn.cache_write,
        "cache_creation": {
            "ephemeral_5m_input_tokens": turn.cache_write - turn.cache_hour,
            "ephemeral_1h_input_tokens": turn.cache_hour,
        },
        "cache_read_input_tokens": turn.cache_read,
        "output_tokens": output_tokens,
    }


class _Block(NamedTuple):
    whole: Json
    start: Json  # as content_block_start shows it
    deltas: list[Json]


def _blocks(turn: Turn) -> Iterator[_Block]:
    if turn.reasoning:
        thinking: Json = {"type": "thinking", "thinking": "", "signature": ""}
        thoughts: list[Json] = [
            {"type": "thinking_delta", "thinking": word} for word in turn.reasoning
        ]
        thoughts.append({"type": "signature_delta", "signature": SIGNATURE})
        whole = {**thinking, "thinking": "".join(turn.reasoning), "signature": SIGNATURE}
        yield _Block(whole, thinking, thoughts)
    if turn.words:
        texts: list[Json] = [{"type": "text_delta", "text": word} for word in turn.words]
        yield _Block({"type": "text", "text": turn.text}, {"type": "text", "text": ""}, texts)
    for call in turn.calls:
        start: Json = {"type": "tool_use", "id": f"toolu_{call.id}", "name": call.name, "input": {}}
        # Real streams open with an empty piece too.
        pieces = ("", *call.pieces)
        inputs: list[Json] = [{"type": "input_json_delta", "partial_json": it} for it in pieces]
        yield _Block({**start, "input": msgspec.json.decode(call.arguments)}, start, inputs)


def _event(data: Json, kind: Kind = Kind.OPEN) -> Event:
    return Event(encode(data), data["type"], kind)
