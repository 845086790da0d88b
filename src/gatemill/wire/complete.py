"""Whether an answer is one that may be given again: it ended by itself, and is not a refusal.

Rule: in doubt it is not. What was cut by a limit, a filter or a failure is never kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gatemill.wire import sse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FINISHED = frozenset(("stop", "tool_calls", "function_call"))
_STOPPED = frozenset(("end_turn", "tool_use", "stop_sequence"))
_ALWAYS = frozenset(("embeddings", "predict", "predict_text", "rerank", "moderations"))


class _Message(Struct):
    refusal: str | None = None


class _Choice(Struct):
    index: int = 0
    finish_reason: str | None = None
    message: _Message | None = None
    delta: _Message | None = None


class _Chat(Struct):
    choices: list[_Choice] = []


class _Anthropic(Struct):
    stop_reason: str | None = None


class _Delta(Struct):
    delta: _Anthropic | None = None


class _Part(Struct):
    type: str = ""


class _Item(Struct):
    content: list[_Part] | None = None


class _Response(Struct):
    status: str | None = None
    output: list[_Item] = []


class _Completed(Struct):
    response: _Response | None = None


_chat = msgspec.json.Decoder(_Chat).decode
_anthropic = msgspec.json.Decoder(_Anthropic).decode
_delta = msgspec.json.Decoder(_Delta).decode
_response = msgspec.json.Decoder(_Response).decode
_completed = msgspec.json.Decoder(_Completed).decode


def is_complete(operation: str, body: bytes, finish: str = "") -> bool:
    """Whether a whole answer may be given again.

    `finish` is the hub's finish_reason, for the operation whose body does not say it (inference).
    """
    check = _BODIES.get(operation)
    if check is None:
        return operation in _ALWAYS or (operation == "inference" and finish == "stop")
    try:
        return check(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False


def is_complete_stream(operation: str, events: bytes, choices: int) -> bool:
    """Whether a stream that ended regularly may be given again; `choices` is how many were asked for."""
    check = _STREAMS.get(operation)
    try:
        return check is not None and check(events, choices)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False


def _whole_chat(body: bytes) -> bool:
    choices = _chat(body).choices
    return bool(choices) and all(map(_is_good, choices))


def _is_good(choice: _Choice) -> bool:
    refused = choice.message is not None and choice.message.refusal
    return choice.finish_reason in _FINISHED and not refused


def _whole_message(body: bytes) -> bool:
    return _anthropic(body).stop_reason in _STOPPED


def _whole_response(body: bytes) -> bool:
    return _is_answered(_response(body))


def _is_answered(response: _Response) -> bool:
    parts = (part for item in response.output for part in item.content or ())
    return response.status == "completed" and not any(part.type == "refusal" for part in parts)


def _chat_stream(events: bytes, choices: int) -> bool:
    finished = set()
    for data in _marked(events, b'"finish_reason"', b'"refusal"'):
        for choice in _chat(data).choices:
            if choice.delta is not None and choice.delta.refusal:
                return False
            if choice.finish_reason is None:
                continue
            if choice.finish_reason not in _FINISHED:
                return False
            finished.add(choice.index)
    return len(finished) >= choices


def _message_stream(events: bytes, choices: int) -> bool:
    reason = None
    for data in _marked(events, b'"stop_reason"'):
        said = _delta(data).delta
        reason = said.stop_reason if said is not None else reason
    return reason in _STOPPED


def _response_stream(events: bytes, choices: int) -> bool:
    for data in _marked(events, b'"response.completed"'):
        response = _completed(data).response
        if response is not None:
            return _is_answered(response)
    return False


def _marked(events: bytes, *marks: bytes) -> Iterator[bytes]:
    for _, data in sse.events(events):
        if any(mark in data for mark in marks):
            yield data


_BODIES: dict[str, Callable[[bytes], bool]] = {
    "chat": _whole_chat,
    "completions": _whole_chat,
    "messages": _whole_message,
    "responses": _whole_response,
}
_STREAMS: dict[str, Callable[[bytes, int], bool]] = {
    "chat": _chat_stream,
    "completions": _chat_stream,
    "messages": _message_stream,
    "responses": _response_stream,
}
