"""Responses that are made while nobody waits: what is asked, and what is told of them.

Rule: the caller knows one id from the first answer to the last event, whatever the provider calls its
own. Events are numbered without gaps: 0 and 1 say that it is queued, the provider's begin at 2.
Source: OpenAI's guide "Background mode", read 2026-11-21.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Raw

from gatemill.core.errors import InvalidValue
from gatemill.wire import fields, sse
from gatemill.wire.responses import frame

if TYPE_CHECKING:
    from gatemill.core.job import Problem
    from gatemill.core.ports import Json

PREFIX = "resp_"
HEAD_EVENTS = 2  # that stand before the first of the provider's
_JOB_PREFIX = "job_"
_pairs = msgspec.json.Decoder(dict[str, str]).decode
_CODES = {"rate_limit_exceeded": "rate_limit_exceeded"}  # of ours, in OpenAI's words
_PROMPT = frozenset(
    (
        *("invalid_value", "invalid_type", "missing_required_parameter"),
        *("context_length_exceeded", "content_policy_violation"),
        *("unsupported_parameter", "upstream_invalid_request"),
    )
)


class Made(NamedTuple):
    """A response in the background: its id, what was asked, and how far it is."""

    id: str
    asked: Json
    created_at: float
    status: str  # OpenAI's word
    finished_at: float | None = None
    result: Json | None = None  # the provider's response
    problem: Problem | None = None


def is_asked(body: bytes) -> bool:
    """Whether the body wants an answer later; False for what is no JSON object, too."""
    if b'"background"' not in body and b"\\u00" not in body:
        return False
    try:
        said = fields.shallow(body).get("background")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return said is not None and bytes(said) == b"true"


def kept(body: bytes) -> tuple[bytes, bytes]:
    """The body that is to be sent later, and the metadata in it as JSON. Raises InvalidValue.

    The provider is asked to store nothing: it would be under an id that nobody knows.
    """
    outer = fields.shallow(body)
    if bytes(outer.get("store", b"true")) == b"false":
        raise InvalidValue(
            "`store`: is false. A response in the background is stored until it is fetched;"
            " leave `store` out, or leave `background` out and wait.",
            param="store",
        )
    del outer["background"]
    outer["store"] = Raw(b"false")
    metadata = bytes(outer.get("metadata", b"{}"))
    try:
        _pairs(metadata)
    except msgspec.MsgspecError:
        metadata = (
            b"{}"  # null, or nothing that a job could carry; the provider sees it all the same
        )
    return fields.encode(outer), metadata


def streams(body: bytes) -> bool:
    """Whether a body that was checked asks for a stream."""
    return bytes(fields.shallow(body).get("stream", b"")) == b"true"


def response_id(job_id: str) -> str:
    """The response that this job makes."""
    return PREFIX + job_id.removeprefix(_JOB_PREFIX)


def job_id(response: str) -> str:
    """The job that makes this response; "" for what cannot be one."""
    name = response.removeprefix(PREFIX)
    return _JOB_PREFIX + name if name != response else ""


def told(made: Made) -> Json:
    """The response object as it is now."""
    if made.result is None:
        out = frame.framed(
            made.asked, made.id, int(made.created_at), str(made.asked.get("model", ""))
        )
    else:
        out = {**made.result, "id": made.id, "created_at": int(made.created_at)}
        if out.get("usage") is None:
            out.pop("usage", None)
    out |= {"status": made.status, "background": True, "store": True}
    if made.status == "completed" and made.finished_at is not None:
        out["completed_at"] = int(made.finished_at)
    if made.problem is not None and made.status == "failed":
        out["error"] = {"code": _code(made.problem.code), "message": made.problem.message}
    return out


def head_event(made: Made, number: int) -> bytes:
    """One of the events before the provider's: 0 is created, 1 is queued."""
    kind = ("response.created", "response.queued")[number]
    return _event(kind, number, told(made._replace(status="queued", result=None)))


def event(made: Made, place: int, raw: bytes) -> bytes:
    """An event of the provider's, the `place`th from 1 in the log, with our number and our id."""
    found = next(iter(sse.events(raw)), None)
    if found is None:
        return b""
    said = fields.decode_object(found[1])
    kind = said.get("type", found[0])
    if kind == "response.created":  # told already
        kind = "response.in_progress"
    inner = said.get("response")
    if isinstance(inner, dict):
        status = str(inner.get("status", "in_progress"))
        said["response"] = told(made._replace(status=status, finished_at=None, result=inner))
    said |= {"type": kind, "sequence_number": place + HEAD_EVENTS - 1}
    return sse.event(fields.encode(said), kind)


def last_event(made: Made, events: int) -> bytes:
    """What ends the stream of a response that the provider did not end; `events` are in the log."""
    number = events + HEAD_EVENTS
    if made.status == "failed":
        return _event("response.failed", number, told(made))
    said = {
        "type": "error",
        "sequence_number": number,
        "code": made.status,
        "message": f"The response is {made.status}.",
        "param": None,
    }
    return sse.event(fields.encode(said), "error")


def _event(kind: str, number: int, response: Json) -> bytes:
    said = {"type": kind, "sequence_number": number, "response": response}
    return sse.event(fields.encode(said), kind)


def _code(code: str) -> str:
    if code in _PROMPT:
        return "invalid_prompt"
    return _CODES.get(code, "server_error")
