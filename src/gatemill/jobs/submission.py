"""What callers hand in: one job, or a list of them.

Rule: strict. Every field is checked here but the arguments, which belong to the kind.
"""

from __future__ import annotations

import difflib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import msgspec
from msgspec import Meta, Raw, Struct

from gatemill.core.errors import GatemillError, InvalidRequest, InvalidValue, UnsupportedParameter
from gatemill.wire import fields
from gatemill.wire.body import check, check_depth

if TYPE_CHECKING:
    from gatemill.core.call import Key

Word = Literal["high", "default", "low"]
JOBS_MAX = 1000  # in one request
LATE_S_MAX = 5.0  # a clock may be off by so much
AHEAD_S_MAX = 366 * 86_400.0
_PAIRS_MAX = 16  # of metadata, as OpenAI has it
_NAME_CHARS_MAX = 60  # of an unknown name that is repeated in the message
_Text = Annotated[str, Meta(max_length=512)]
Metadata = dict[Annotated[str, Meta(min_length=1, max_length=64)], _Text]


class Submission(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job as it is asked for."""

    kind: Annotated[str, Meta(min_length=1, max_length=200)]
    args: Raw = Raw(b"{}")
    priority: Word | None = None  # None is the kind's own
    run_at: float | str | None = None  # Unix time, or ISO 8601
    ttl: Annotated[float, Meta(gt=0, le=AHEAD_S_MAX)] | None = None  # seconds
    callback_url: Annotated[str, Meta(max_length=2048)] | None = None
    metadata: Metadata | None = None


class Sender(Struct, frozen=True):
    """Who asks, and how they tell a repeat from another request."""

    key: Key
    idempotency_key: str = ""
    fingerprint: str = ""  # of the whole request


class _Many(Struct):
    jobs: Annotated[list[Raw], Meta(min_length=1, max_length=JOBS_MAX)]


_one = msgspec.json.Decoder(Submission)
_many = msgspec.json.Decoder(_Many)
_outer = msgspec.json.Decoder(dict[str, Raw])
_KNOWN = Submission.__struct_fields__
_HINTS = {
    "priority": "Use high, default or low.",
    "ttl": "Send seconds, up to 366 days.",
    "metadata": "Send at most 16 pairs of text: names up to 64 characters, values up to 512.",
    "jobs": f"Send 1 to {JOBS_MAX} jobs.",
}


def read(body: bytes, depth_max: int) -> tuple[list[Submission], bool]:
    """The jobs in a body, and whether they came as a list. Raises InvalidRequest and its kinds."""
    check(body)
    outer = fields.decode_head(_outer, body)
    check_depth(body, depth_max)
    if "jobs" not in outer:
        return [_read(body, "")], False
    check_names(outer, ("jobs",))
    many = fields.decode_head(_many, body, _HINTS)
    return [_read(raw, f"jobs.{at}") for at, raw in enumerate(many.jobs)], True


def _read(raw: bytes | Raw, place: str) -> Submission:
    try:
        said = _one.decode(raw)
    except msgspec.MsgspecError:
        _explain(bytes(raw), place)
    if said.metadata is not None and len(said.metadata) > _PAIRS_MAX:
        raise placed(_bad_metadata(), place)
    return said


def _explain(raw: bytes, place: str) -> NoReturn:
    """Raises what is wrong with a job that cannot be decoded."""
    try:
        check_names(fields.decode_head(_outer, raw), _KNOWN)
        fields.decode_head(_one, raw, _HINTS)
    except InvalidRequest as error:
        if "metadata" in (error.param or ""):
            raise placed(_bad_metadata(), place) from None
        raise placed(error, place) from None
    raise AssertionError


def _bad_metadata() -> InvalidValue:
    return InvalidValue(f"`metadata`: {_HINTS['metadata']}", param="metadata")


def check_names(outer: dict[str, Raw], known: tuple[str, ...]) -> None:
    """Raises UnsupportedParameter for a name that is not known, with the nearest that is."""
    for name in outer:
        if name not in known:
            shown = name[:_NAME_CHARS_MAX]
            near = difflib.get_close_matches(name, known, n=1)
            remedy = f"Did you mean `{near[0]}`?" if near else f"Use {', '.join(known)}."
            raise UnsupportedParameter(f"`{shown}` is not known here. {remedy}", param=shown)


def placed(
    error: GatemillError, place: str, kind: type[GatemillError] | None = None
) -> GatemillError:
    """The same failure, of a field further down: below `place`, where that is not "".

    `kind` is its class, if it is to be another one.
    """
    param = ".".join(part for part in (place, error.param) if part)
    message = error.message
    if place:
        told = message.removeprefix(f"`{error.param}`").lstrip(": ")
        message = f"`{param}`: {told}"
    return (kind or type(error))(message, param=param or None, retry_after_s=error.retry_after_s)


def begins_at(said: Submission, now_s: float) -> float | None:
    """When the job may begin, in Unix time; None is now. Raises InvalidValue."""
    run_at = said.run_at
    if run_at is None:
        return None
    at_s = _unix_s(run_at) if isinstance(run_at, str) else run_at
    if not now_s - LATE_S_MAX <= at_s <= now_s + AHEAD_S_MAX:
        raise InvalidValue(
            "`run_at`: send a moment from now on, at most 366 days ahead; leave it out for now.",
            param="run_at",
        )
    return at_s if at_s > now_s else None


def _unix_s(text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise InvalidValue(
            "`run_at`: send seconds of Unix time, or a time such as 2026-11-01T12:00:00Z.",
            param="run_at",
        ) from None


def expires_at(said: Submission, run_at: float | None, now_s: float) -> float | None:
    """When the job expires if it has not begun: `ttl` seconds after it may begin."""
    return None if said.ttl is None else max(now_s, run_at or now_s) + said.ttl
