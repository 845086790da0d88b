"""A recorded request asked again: what is sent, how two answers differ, what all of it comes to.

Rule: nothing here waits. A figure that one side lacks is compared for nobody.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from gatemill.core.errors import UnsupportedOperation
from gatemill.core.job import Problem
from gatemill.policy.paired import Paired, Part, paired, part
from gatemill.wire import fields
from gatemill.wire.said import Said, is_json, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gatemill.core.call import Reply, UsageRow
    from gatemill.ledger.recordings import Recording

Pair = tuple[Any, Any]  # of the recording, of the replay; None where it is not known
EXCERPT_CHARS = 300
JUDGED_CHARS = 8_000  # of a text, that a judge sees
OWN_FIELDS = frozenset(("model", "stream", "stream_options", "prompt_id", "messages", "input"))
_STREAMING = ("stream", "stream_options", "background")


class Against(Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked instead; by default the same, as it is configured now."""

    model: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    params: dict[str, Any] | None = (
        None  # fields of the request that replace its own; null drops one
    )
    prompt: Annotated[str, Meta(min_length=1, max_length=300)] | None = None  # of the registry


class Row(Struct, frozen=True, omit_defaults=True):
    """What became of one recorded request."""

    request_id: str
    operation: str = ""
    model: str = ""  # as it was asked for
    target: str = ""  # who answered now
    error: Problem | None = None  # nobody answered now
    skipped: str = ""  # why it was not asked
    equal: bool | None = None  # the answers are the same, to the letter
    alike: bool | None = None  # the same but for case, spaces, and a fence around them
    json: Pair | None = None  # whether each is JSON; None where neither is, nor was asked for
    finish: Pair | None = None
    cost_microusd: Pair | None = None
    latency_ms: Pair | None = None
    prompt_tokens: Pair | None = None
    output_tokens: Pair | None = None
    similarity: float | None = None  # cosine of the answers' vectors
    verdict: str | None = None  # of a judge: "before", "after" or "tie"
    texts: Pair | None = None  # the answers, or how they begin
    prompt: str = ""  # what was asked; only until a judge has seen it


class Figures(Struct, frozen=True):
    """What one side used."""

    cost_microusd: int | None = None
    latency_ms: float | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None


def body_of(recording: Recording, against: Against) -> bytes:
    """The request that is sent now. Raises UnsupportedOperation."""
    if against.prompt is not None and recording.operation != "chat":
        raise UnsupportedOperation("Only chat completions take a prompt.", param="against.prompt")
    asked = recording.body if against.prompt is not None else recording.filled
    body = fields.decode_object(recording.body if asked is None else asked)
    for name in _STREAMING:
        body.pop(name, None)
    body["model"] = against.model or recording.model
    if against.prompt is not None:
        body["prompt_id"] = against.prompt
    for name, value in (against.params or {}).items():
        body[name] = value
        if value is None:
            del body[name]
    return fields.encode(body)


def used_then(rows: Sequence[UsageRow], recording: Recording) -> Figures:
    """What the request used when it was recorded; nothing where a kept answer was given."""
    if not rows or recording.cache:
        return Figures()
    costs = [row.cost_microusd for row in rows]
    last = rows[-1]
    return Figures(
        None if None in costs else sum(cost or 0 for cost in costs),
        round(sum(row.latency_ms for row in rows), 3),
        last.prompt_tokens,
        last.completion_tokens,
    )


def used_now(reply: Reply, tokens: tuple[int, int]) -> Figures:
    """What the replay used; `tokens` are those of the prompt and of the answer."""
    attempts = reply.call.attempts
    latency_ms = None
    if attempts:
        latency_ms = round((attempts[-1].ended_s - attempts[0].started_s) * 1e3, 3)
    return Figures(reply.cost_microusd, latency_ms, *tokens)


def compared(
    recording: Recording, sides: tuple[Said, Said], used: tuple[Figures, Figures], target: str
) -> Row:
    """How the two differ; the recording stands first."""
    before, after = sides
    same_calls = before.choices == after.choices
    is_told = bool(before.text or after.text or before.choices or after.choices)
    valid = is_json(before.text), is_json(after.text)
    asks_json = b'"response_format"' in recording.body or any(valid)
    then, now = used
    return Row(
        request_id=recording.request_id,
        operation=recording.operation,
        model=recording.model,
        target=target,
        equal=(before.text == after.text and same_calls) if is_told else None,
        alike=(plain(before.text) == plain(after.text) and same_calls) if is_told else None,
        json=valid if asks_json else None,
        finish=(before.finish, after.finish) if before.finish and after.finish else None,
        cost_microusd=_both(then.cost_microusd, now.cost_microusd),
        latency_ms=_both(then.latency_ms, now.latency_ms),
        prompt_tokens=_both(then.prompt_tokens, now.prompt_tokens),
        output_tokens=_both(then.output_tokens, now.output_tokens),
    )


def with_texts(row: Row, recording: Recording, sides: tuple[Said, Said], chars_max: int) -> Row:
    """The same row with the answers, and with what was asked, as far as they are told."""
    before, after = (side.text[:chars_max] for side in sides)
    return replace(row, texts=(before, after), prompt=_asked(recording.body)[:chars_max])


def bare(row: Row, verdict: str | None, *, texts: bool) -> Row:
    """The row as the result has it."""
    kept = None
    if texts and row.texts is not None:
        kept = row.texts[0][:EXCERPT_CHARS], row.texts[1][:EXCERPT_CHARS]
    return replace(row, texts=kept, prompt="", verdict=verdict)


class Answers(Struct, frozen=True):
    """How often the answers are the same."""

    equal: Part | None
    alike: Part | None
    same_finish: Part | None
    json_before: Part | None
    json_after: Part | None


class Summary(Struct, frozen=True):
    """What all rows come to."""

    compared: int
    failed: int
    skipped: int
    errors: dict[str, int]  # by code
    answers: Answers
    cost_microusd: Paired | None
    latency_ms: Paired | None
    prompt_tokens: Paired | None
    output_tokens: Paired | None
    similarity: Paired | None  # `after` is the mean; `before` is 1, which equal answers have


def summed(rows: Sequence[Row]) -> Summary:
    """What all rows come to."""
    good = [row for row in rows if row.error is None and not row.skipped]
    errors = Counter(row.error.code for row in rows if row.error is not None)
    similar = [row.similarity for row in good if row.similarity is not None]
    return Summary(
        compared=len(good),
        failed=errors.total(),
        skipped=sum(bool(row.skipped) for row in rows),
        errors=dict(errors.most_common()),
        answers=Answers(
            equal=_often(row.equal for row in good),
            alike=_often(row.alike for row in good),
            same_finish=_often(_same(row.finish) for row in good),
            json_before=_often(row.json and row.json[0] for row in good),
            json_after=_often(row.json and row.json[1] for row in good),
        ),
        cost_microusd=_paired(good, lambda row: row.cost_microusd),
        latency_ms=_paired(good, lambda row: row.latency_ms),
        prompt_tokens=_paired(good, lambda row: row.prompt_tokens),
        output_tokens=_paired(good, lambda row: row.output_tokens),
        similarity=paired([1.0] * len(similar), similar),
    )


def telling(rows: Iterable[Row], most: int) -> list[Row]:
    """At most so many rows, those that differ most first."""
    return sorted(rows, key=_order)[:most]


def _order(row: Row) -> tuple[int, float]:
    if row.error is not None:
        return 0, 0.0
    if row.skipped:
        return 4, 0.0
    rank = 3 if row.equal else 2 if row.alike else 1
    return rank, 1.0 if row.similarity is None else row.similarity


def _asked(body: bytes) -> str:
    """What a request says, for people and judges: its texts in their order, each after its role."""
    said = fields.decode_object(body)
    turns = said.get("messages") or said.get("input") or said.get("prompt") or ""
    if isinstance(turns, str):
        return turns
    return "\n\n".join(_turn(each) for each in turns)


def _turn(said: Any) -> str:
    if not isinstance(said, dict):
        return str(said)
    content = said.get("content")
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        content = "\n".join(text for text in parts if isinstance(text, str))
    return f"{said.get('role', '')}: {content or ''}"


def _both(before: Any, after: Any) -> Pair | None:
    return None if before is None and after is None else (before, after)


def _same(pair: Pair | None) -> bool | None:
    return None if pair is None else pair[0] == pair[1]


def _often(facts: Iterable[bool | None]) -> Part | None:
    known = [fact for fact in facts if fact is not None]
    return part(sum(known), len(known))


def _paired(rows: Sequence[Row], of: Callable[[Row], Pair | None]) -> Paired | None:
    pairs = [pair for row in rows if (pair := of(row)) is not None and None not in pair]
    return paired([float(before) for before, _ in pairs], [float(after) for _, after in pairs])


def cosine(answer: bytes) -> float | None:
    """Of the two vectors of an embeddings answer; None for one that has no two."""
    try:
        first, second = (each["embedding"] for each in msgspec.json.decode(answer)["data"])
        length = sum(x * x for x in first) * sum(y * y for y in second)
        dot = sum(x * y for x, y in zip(first, second, strict=True))
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        return None
    return round(dot / length**0.5, 6) if length else None
