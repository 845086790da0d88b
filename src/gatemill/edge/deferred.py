"""Inference requests that become jobs: `Prefer: respond-async`, and responses in the background.

Rule: refused exactly as the request would be that is answered at once; accepted is on disk.
"""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

from msgspec import Raw

from gatemill.core.errors import GatemillError, InvalidValue, UnsupportedOperation
from gatemill.core.job import PRIORITIES, Full
from gatemill.edge import background, faults, hot, tracing
from gatemill.edge.flow import Flow
from gatemill.gateway.idempotency import SPENDING
from gatemill.gateway.identify import identify, permit
from gatemill.gateway.settle import refused
from gatemill.jobs import shown
from gatemill.jobs.desk import CHAT, INFERENCE, RESPONSE, Manner
from gatemill.jobs.following import check_room
from gatemill.jobs.submission import Sender
from gatemill.wire import fields
from gatemill.wire.responses import background as words

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gatemill.core.call import Key
    from gatemill.edge.arrival import Arrival
    from gatemill.edge.door import Door
    from gatemill.edge.hot import Answer
    from gatemill.gateway.parts import Caller, Gateway
    from gatemill.jobs.desk import Desk
    from gatemill.ledger.jobs.rows import Accepted

_JSON = b"content-type: application/json\r\n"
_PREFERENCE = "respond-async"


async def respond(door: Door, operation: str, body: bytes, arrival: Arrival) -> Answer:
    """The answer to a request that may want to be a job; any other is answered at once."""
    gateway, caller = door.gateway, arrival.caller()
    if operation not in SPENDING:  # counting tokens takes no time
        return await hot.respond(gateway, operation, body, caller)
    in_background = operation == "responses" and words.is_asked(body)
    if not in_background and not _prefers(arrival.prefer):
        return await hot.respond(gateway, operation, body, caller)
    request_id = gateway.new_id(gateway.clock.unix_s())
    family = gateway.surfaces[operation].FAMILY
    make = _response if in_background else _job
    work = partial(make, door, operation, body, arrival, request_id)
    try:
        if gateway.tracer is not None:
            work = partial(_traced, gateway, caller, work)
        return await faults.shielded(work(), request_id)
    except GatemillError as error:
        refused(gateway, operation, caller, request_id, error)
        return hot.refusal(error, operation, family, request_id, caller.client_request_id)


async def _traced(
    gateway: Gateway, caller: Caller, work: Callable[[], Awaitable[Answer]]
) -> Answer:
    path = caller.path.decode("latin-1")

    async def counted() -> tuple[Answer, int]:
        answer = await work()
        return answer, answer.status

    where = tracing.Where("POST", path, path)
    found: Answer = await tracing.within(
        gateway, caller.traceparent, where, counted, tells_failures=False
    )
    return found


async def _job(
    door: Door, operation: str, body: bytes, arrival: Arrival, request_id: str
) -> Answer:
    sender = _sender(door, operation, body, arrival)
    manner = _manner(arrival, CHAT if operation == "chat" else INFERENCE)
    accepted = await desk_of(door).accept_inference(sender, operation, body, manner)
    headers = b"%b%blocation: /v1/jobs/%b\r\npreference-applied: respond-async\r\n" % (
        _JSON,
        _ids(request_id, arrival, accepted),
        accepted.job.id.encode(),
    )
    said = fields.encode(shown.job(accepted.job))
    return hot.Answer(202, headers, said, None, operation, "openai", request_id)


async def _response(
    door: Door, operation: str, body: bytes, arrival: Arrival, request_id: str
) -> Answer:
    desk = desk_of(door)
    sender = _sender(door, operation, body, arrival)
    kept, metadata = words.kept(body)
    if words.streams(kept):
        check_room(desk.news)
    manner = _manner(arrival, RESPONSE, metadata)
    accepted = await desk.accept_inference(sender, operation, kept, manner)
    headers = _ids(request_id, arrival, accepted)
    if accepted.created:  # told as it was accepted, although it may have begun
        full = Full(accepted.job, fields.encode({"body": Raw(kept)}), None, None)
    else:
        full = await desk.full(sender.key, accepted.job.id)
    if not words.streams(kept):
        said = fields.encode(background.told(full))
        return hot.Answer(200, _JSON + headers, said, None, operation, "openai", request_id)
    events = background.events(desk, sender.key, full, -1, lambda: door.draining)
    stream = Flow(events, request_id)
    return hot.Answer(200, hot.STREAM + headers, b"", stream, operation, "openai", request_id)


def desk_of(door: Door) -> Desk:
    """Who takes jobs here. Raises UnsupportedOperation where nobody does."""
    if door.desk is None:
        raise UnsupportedOperation("This server takes no jobs. Leave `Prefer` out and wait.")
    return door.desk


def _prefers(value: bytes) -> bool:
    """Whether a Prefer header asks for an answer later (RFC 7240)."""
    words_ = value.decode("latin-1").lower().replace(";", ",").split(",")
    return _PREFERENCE in map(str.strip, words_)


def _sender(door: Door, operation: str, body: bytes, arrival: Arrival) -> Sender:
    gateway, caller = door.gateway, arrival.caller()
    key: Key = identify(gateway.keys, caller.secret, gateway.clock.unix_s(), "inference")
    permit(key, "jobs")
    if not caller.idempotency_key:
        return Sender(key)
    asked = (operation.encode(), arrival.callback_url, arrival.priority, body)
    return Sender(key, caller.idempotency_key, sha256(b"\0".join(asked)).hexdigest())


def _manner(arrival: Arrival, kind: str, metadata: bytes = b"{}") -> Manner:
    word = arrival.priority.decode("latin-1").strip().lower()
    if word and word not in PRIORITIES:
        raise InvalidValue("`x-priority`: send high, default or low.", param="x-priority")
    return Manner(
        kind=kind,
        priority=PRIORITIES.index(word) if word else None,
        callback_url=arrival.callback_url.decode("latin-1").strip(),
        metadata=metadata,
    )


def _ids(request_id: str, arrival: Arrival, accepted: Accepted) -> bytes:
    lines = b"x-request-id: %b\r\n" % request_id.encode()
    if client_id := arrival.caller().client_request_id:
        lines += b"x-client-request-id: %b\r\n" % client_id.encode()
    return lines if accepted.created else lines + b"idempotent-replayed: true\r\n"
