"""OpenAI's Responses API: the complete object and its events.

Rule: every event of a stream carries `sequence_number`, gapless from 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.fake_provider.steps import Event, Kind
from gatemill.fake_provider.turn import Json, ToolCall, Turn, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.fake_provider.failures import Failure


def response(turn: Turn) -> Json:
    """A complete response object."""
    cut = turn.finish == "length"
    return {
        **_envelope(turn, "incomplete" if cut else "completed"),
        "completed_at": None if cut else turn.created_s,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": _items(turn),
        "usage": _usage(turn) if turn.says_usage else None,
    }


def response_events(turn: Turn) -> Iterator[Event]:
    """The same as events."""
    for number, (body, kind) in enumerate(_bodies(turn)):
        yield _event(body, number, kind)


def failure_events(turn: Turn, failed: Failure, number: int) -> list[Event]:
    """How a stream fails after `number` events: `error`, then `response.failed`."""
    error = {"type": "error", "code": failed.code, "message": failed.message, "param": None}
    final = _envelope(turn, "failed") | {
        "error": {"code": "server_error", "message": failed.message}
    }
    last = {"type": "response.failed", "response": final}
    return [_event(error, number, Kind.CLOSE), _event(last, number + 1, Kind.CLOSE)]


def _event(body: Json, number: int, kind: Kind) -> Event:
    return Event(encode({**body, "sequence_number": number}), body["type"], kind)


def _bodies(turn: Turn) -> Iterator[tuple[Json, Kind]]:
    started = _envelope(turn, "in_progress")
    yield {"type": "response.created", "response": started}, Kind.OPEN
    yield {"type": "response.in_progress", "response": started}, Kind.OPEN
    for index, item in enumerate(_items(turn)):
        yield from _item_bodies(turn, item, index)
    final = response(turn)
    yield {"type": f"response.{final['status']}", "response": final}, Kind.DONE


def _item_bodies(turn: Turn, item: Json, index: int) -> Iterator[tuple[Json, Kind]]:
    place = {"item_id": item["id"], "output_index": index}
    added = {"type": "response.output_item.added", "output_index": index, "item": _empty(item)}
    yield added, Kind.OPEN
    if item["type"] == "reasoning":
        yield from _thought_bodies(turn, place)
    elif item["type"] == "message":
        yield from _text_bodies(turn, item["content"][0], {**place, "content_index": 0})
    else:
        call = next(call for call in turn.calls if item["call_id"] == f"call_{call.id}")
        yield from _call_bodies(call, place)
    done = {"type": "response.output_item.done", "output_index": index, "item": item}
    yield done, Kind.OPEN


def _empty(item: Json) -> Json:
    """An item as it starts, before its deltas."""
    if item["type"] == "reasoning":
        return {**item, "summary": []}
    field: Json = {"content": []} if item["type"] == "message" else {"arguments": ""}
    return {**item, "status": "in_progress"} | field


def _thought_bodies(turn: Turn, place: Json) -> Iterator[tuple[Json, Kind]]:
    where = {**place, "summary_index": 0}
    whole = "".join(turn.reasoning)
    name = "response.reasoning_summary"
    part = {"type": "summary_text", "text": ""}
    yield {"type": f"{name}_part.added", **where, "part": part}, Kind.OPEN
    for word in turn.reasoning:
        yield {"type": f"{name}_text.delta", **where, "delta": word}, Kind.CONTENT
    yield {"type": f"{name}_text.done", **where, "text": whole}, Kind.OPEN
    yield {"type": f"{name}_part.done", **where, "part": {**part, "text": whole}}, Kind.OPEN


def _text_bodies(turn: Turn, part: Json, where: Json) -> Iterator[tuple[Json, Kind]]:
    refuses = part["type"] == "refusal"
    field, name = ("refusal", "refusal") if refuses else ("text", "output_text")
    extra: Json = {} if refuses else {"logprobs": []}
    added = {"type": "response.content_part.added", **where, "part": {**part, field: ""}}
    yield added, Kind.OPEN
    for word in turn.words:
        yield {"type": f"response.{name}.delta", **where, "delta": word, **extra}, Kind.CONTENT
    yield {"type": f"response.{name}.done", **where, field: turn.text, **extra}, Kind.OPEN
    yield {"type": "response.content_part.done", **where, "part": part}, Kind.OPEN


def _call_bodies(call: ToolCall, place: Json) -> Iterator[tuple[Json, Kind]]:
    name = "response.function_call_arguments"
    for piece in call.pieces:
        yield {"type": f"{name}.delta", **place, "delta": piece}, Kind.CONTENT
    yield {"type": f"{name}.done", **place, "arguments": call.arguments}, Kind.OPEN


def _items(turn: Turn) -> list[Json]:
    items: list[Json] = []
    number = f"fake{turn.number:08d}"
    if turn.reasoning:
        summary = [{"type": "summary_text", "text": "".join(turn.reasoning)}]
        items.append({"id": f"rs_{number}", "type": "reasoning", "summary": summary})
    if turn.words:
        items.append(
            {
                "id": f"msg_{number}",
                "type": "message",
                "role": "assistant",
                "status": "incomplete" if turn.finish == "length" else "completed",
                "content": [_part(turn)],
            }
        )
    items += [
        {
            "id": f"fc_{number}_{i}",
            "type": "function_call",
            "status": "completed",
            "call_id": f"call_{call.id}",
            "name": call.name,
            "arguments": call.arguments,
        }
        for i, call in enumerate(turn.calls)
    ]
    return items


def _part(turn: Turn) -> Json:
    if turn.finish == "refusal":
        return {"type": "refusal", "refusal": turn.text}
    return {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}


def _usage(turn: Turn) -> Json:
    return {
        "input_tokens": turn.prompt_total,
        "input_tokens_details": {
            "cached_tokens": turn.cache_read,
            "cache_write_tokens": turn.cache_write,
        },
        "output_tokens": turn.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": turn.reasoning_tokens},
        "total_tokens": turn.prompt_total + turn.completion_tokens,
    }


def _envelope(turn: Turn, status: str) -> Json:
    return {
        "id": f"resp_fake{turn.number:08d}",
        "object": "response",
        "created_at": turn.created_s,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": turn.model,
        "output": [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None,
    }
