"""OpenAI's chat completions, completions and models. Rule: shapes only; turn.py decides what is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.fake_provider.steps import Event, Kind
from gatemill.fake_provider.turn import Json, Turn, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gatemill.fake_provider.failures import Failure

_FINISH = {"stop": "stop", "length": "length", "tools": "tool_calls", "refusal": "stop"}
_DONE = Event(b"[DONE]", kind=Kind.DONE)


def usage(turn: Turn) -> Json:
    """`usage`: prompt_tokens include cached ones, completion_tokens include reasoning."""
    return {
        "prompt_tokens": turn.prompt_total,
        "completion_tokens": turn.completion_tokens,
        "total_tokens": turn.prompt_total + turn.completion_tokens,
        "prompt_tokens_details": {
            "cached_tokens": turn.cache_read,
            "cache_write_tokens": turn.cache_write,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": turn.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def chat(turn: Turn) -> Json:
    """A complete chat completion."""
    choice = {"message": _message(turn), "logprobs": None, "finish_reason": _FINISH[turn.finish]}
    completion: Json = {
        **_envelope(turn, "chat.completion"),
        "choices": [{"index": i, **choice} for i in range(turn.choices)],
    }
    if turn.says_usage:
        completion["usage"] = usage(turn)
    return completion


def chat_events(turn: Turn) -> Iterator[Event]:
    """The same as chunks; choices take turns, parallel tool calls are interleaved."""
    envelope = _envelope(turn, "chat.completion.chunk")
    asked = turn.streams_usage and turn.says_usage
    tail: Json = {"usage": None} if asked else {}

    def chunk(delta: Json, kind: Kind, finish: str | None = None) -> Iterator[Event]:
        for i in range(turn.choices):
            choice = {"index": i, "delta": delta, "logprobs": None, "finish_reason": finish}
            yield Event(encode({**envelope, "choices": [choice], **tail}), kind=kind)

    yield from chunk({"role": "assistant", "content": "", "refusal": None}, Kind.OPEN)
    for delta in _deltas(turn):
        yield from chunk(delta, Kind.CONTENT)
    yield from chunk({}, Kind.CLOSE, _FINISH[turn.finish])
    if asked:
        last = {**envelope, "choices": [], "usage": usage(turn)}
        yield Event(encode(last), kind=Kind.CLOSE)
    yield _DONE


def completion(turn: Turn) -> Json:
    """A complete legacy completion."""
    choice = {"text": turn.text, "logprobs": None, "finish_reason": _FINISH[turn.finish]}
    answer: Json = {
        **_envelope(turn, "text_completion"),
        "choices": [{"index": i, **choice} for i in range(turn.choices)],
    }
    if turn.says_usage:
        answer["usage"] = usage(turn)
    return answer


def completion_events(turn: Turn) -> Iterator[Event]:
    """The same as chunks."""
    envelope = _envelope(turn, "text_completion")
    asked = turn.streams_usage and turn.says_usage
    tail: Json = {"usage": None} if asked else {}
    pieces = [(word, Kind.CONTENT, None) for word in turn.words]
    for text, kind, finish in [*pieces, ("", Kind.CLOSE, _FINISH[turn.finish])]:
        for i in range(turn.choices):
            choice = {"index": i, "text": text, "logprobs": None, "finish_reason": finish}
            yield Event(encode({**envelope, "choices": [choice], **tail}), kind=kind)
    if asked:
        last = {**envelope, "choices": [], "usage": usage(turn)}
        yield Event(encode(last), kind=Kind.CLOSE)
    yield _DONE


def models(names: Sequence[str]) -> Json:
    """The list of models."""
    return {"object": "list", "data": [model(name) for name in names]}


def model(name: str) -> Json:
    """One model."""
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "fake-provider"}


def failure(failed: Failure) -> Json:
    """OpenAI's error object, all four keys."""
    return {
        "error": {
            "message": failed.message,
            "type": failed.type,
            "param": failed.param,
            "code": failed.code,
        }
    }


def failure_events(failed: Failure) -> list[Event]:
    """The error as it comes within a stream."""
    return [Event(encode(failure(failed)))]


def _envelope(turn: Turn, kind: str) -> Json:
    prefix = "cmpl" if kind == "text_completion" else "chatcmpl"
    return {
        "id": f"{prefix}-fake{turn.number:08d}",
        "object": kind,
        "created": turn.created_s,
        "model": turn.model,
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
    }


def _message(turn: Turn) -> Json:
    message: Json = {"role": "assistant", "content": turn.text, "refusal": None, "annotations": []}
    if turn.finish == "refusal":
        message |= {"content": None, "refusal": turn.text}
    if turn.reasoning:
        message["reasoning_content"] = "".join(turn.reasoning)
    if turn.calls:
        message["content"] = None
        message["tool_calls"] = [
            {
                "id": f"call_{call.id}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in turn.calls
        ]
    return message


def _deltas(turn: Turn) -> Iterator[Json]:
    for thought in turn.reasoning:
        yield {"reasoning_content": thought}
    field = "refusal" if turn.finish == "refusal" else "content"
    for word in turn.words:
        yield {field: word}
    for i, call in enumerate(turn.calls):
        function = {"name": call.name, "arguments": ""}
        opener = {"index": i, "id": f"call_{call.id}", "type": "function", "function": function}
        yield {"tool_calls": [opener]}
    # Piece by piece over all calls: whoever joins them by order instead of `index` fails. Seen
    # 2026-11: chat.completions.stream() of openai-python 3.52 does, when a tool is strict.
    for pieces in zip(*(call.pieces for call in turn.calls), strict=True):
        for i, piece in enumerate(pieces):
            yield {"tool_calls": [{"index": i, "function": {"arguments": piece}}]}
