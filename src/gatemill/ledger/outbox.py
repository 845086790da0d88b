"""What is told of a job that has ended, and to whom.

Rule: the notification is a job of its own, inserted in the transaction that ends the first one: it
exists exactly when that end does. Its body is fixed here and is the same at every try.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from gatemill.core.job import NewJob
from gatemill.ledger import queries
from gatemill.wire import webhook

if TYPE_CHECKING:
    from gatemill.core.job import Job
    from gatemill.ledger.database import Database

KIND = "webhook"
QUEUE = "webhooks"
CALLBACK = "callback"  # in place of an endpoint's id, where a job named the URL itself
ATTEMPTS_MAX = 10
TIMEOUT_S = 600.0  # of one attempt; a try ends earlier, after `webhooks.timeout_s`
KEEP_S = 7 * 86_400.0
BODY_BYTES_MAX = 20_000  # larger ones go without the result, as Standard Webhooks advises

_SUBSCRIBERS = queries.load("webhooks")["subscribers"]
_patterns = msgspec.json.Decoder(list[str])
_encode = msgspec.json.Encoder().encode

# What a job is called by those who asked for it: the object, the prefix of its id, and its ends.
_NAMES = {
    "response": (
        "resp_",
        {
            "succeeded": "completed",
            "dead": "failed",
            "cancelled": "cancelled",
            "expired": "failed",
        },
    ),
    "batch": (
        "batch_",
        {
            "succeeded": "completed",
            "dead": "failed",
            "cancelled": "cancelled",
            "expired": "expired",
        },
    ),
}


class Letter(Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of a job of kind "webhook"."""

    endpoint: str  # its id, "" for a callback URL
    url: str  # of the callback; "" for an endpoint, which may move
    event: str  # the type
    subject: str  # the id that is told of
    body: str  # JSON


class _Said(Struct):
    status: str = ""


_said = msgspec.json.Decoder(_Said)


def letters(database: Database, job: Job, result: bytes | None, now_s: float) -> list[NewJob]:
    """One job for each who is to be told that this one has ended; the caller inserts them.

    `job` is the row after its end, `result` its JSON when it succeeded.
    """
    event, subject = _named(job, result)
    found = database.rows(_SUBSCRIBERS, {"owner": job.owner})
    endpoints = [
        row["id"] for row in found if webhook.matches(_patterns.decode(row["events"]), event)
    ]
    if job.callback_url:
        endpoints.append("")
    if not endpoints:
        return []
    body = _body(job, event, subject, result, now_s)
    return [
        _delivery(
            job,
            Letter(endpoint, "" if endpoint else job.callback_url, event, subject, body.decode()),
            now_s,
        )
        for endpoint in endpoints
    ]


def new_event(event: str, data: dict[str, Any], now_s: float) -> bytes:
    """The body of a notification, in OpenAI's form."""
    said = {
        "id": "evt_" + _unique(now_s),
        "object": "event",
        "type": event,
        "created_at": int(now_s),
        "data": data,
    }
    return _encode(said)


def new_id(now_s: float) -> str:
    """The id of a notification: sorts by time, cannot be guessed."""
    return "wh_" + _unique(now_s)


def _unique(now_s: float) -> str:
    return f"{int(now_s * 1000):011x}{secrets.token_hex(10)}"


def _named(job: Job, result: bytes | None) -> tuple[str, str]:
    """The type of the event and the id of what it is about."""
    if job.kind not in _NAMES:
        return f"job.{job.state}", job.id
    prefix, ends = _NAMES[job.kind]
    said = f"{job.kind}.{_status(result)}"
    event = said if said in webhook.EVENTS else f"{job.kind}.{ends[job.state]}"
    return event, prefix + job.id.partition("_")[2]


def _status(result: bytes | None) -> str:
    try:
        return _said.decode(result or b"{}").status
    except msgspec.MsgspecError:
        return ""


def _body(job: Job, event: str, subject: str, result: bytes | None, now_s: float) -> bytes:
    data = {
        "id": subject,
        "object": job.kind if job.kind in _NAMES else "job",
        "kind": job.kind,
        "state": job.state,
        "created_at": _seconds(job.created_at),
        "started_at": _seconds(job.started_at),
        "finished_at": _seconds(job.finished_at),
        "attempt": job.attempt,
        "error": None if job.error is None else Raw(job.error),
        "metadata": Raw(job.metadata),
        "result": None,
    }
    if result is not None and len(result) < BODY_BYTES_MAX:
        whole = new_event(event, {**data, "result": Raw(result)}, now_s)
        if len(whole) <= BODY_BYTES_MAX:
            return whole
    if result is not None:
        data["result_omitted"] = True
    return new_event(event, data, now_s)


def _delivery(job: Job, letter: Letter, now_s: float) -> NewJob:
    return NewJob(
        id=new_id(now_s),
        kind=KIND,
        queue=QUEUE,
        args=_encode(letter),
        owner=job.owner,
        key_id="",
        attempts_max=ATTEMPTS_MAX,
        timeout_s=TIMEOUT_S,
        keep_s=KEEP_S,
        unique_key=f"wh:{job.id}:{int(now_s * 1000)}:{letter.endpoint or CALLBACK}",
        notify=False,
    )


def _seconds(unix_s: float | None) -> float | None:
    return None if unix_s is None else round(unix_s, 3)
