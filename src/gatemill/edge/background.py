"""Responses in the background: the job behind one, and its stream.

Rule: a response is a view of a job of kind `response`; nothing is stored beside it.
"""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

import msgspec

from gatemill.core.errors import Draining, InvalidValue, NotFound
from gatemill.core.job import FINAL, Full, Job, Problem
from gatemill.jobs.desk import RESPONSE
from gatemill.jobs.following import Said, follow
from gatemill.wire.responses import background

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from gatemill.core.call import Key
    from gatemill.core.ports import Json
    from gatemill.jobs.desk import Desk

_STATUS = {
    "scheduled": "queued",
    "queued": "queued",
    "running": "in_progress",
    "succeeded": "completed",
    "dead": "failed",
    "expired": "failed",
    "cancelled": "cancelled",
}
_EXPIRED = Problem("expired", "The response had not begun when its time was over.")
_problem = msgspec.json.Decoder(Problem)


async def find(desk: Desk, key: Key, response_id: str) -> Full:
    """The job behind a response. Raises NotFound, also for another kind of job."""
    job_id = background.job_id(response_id)
    with suppress(NotFound):
        full = await desk.full(key, job_id) if job_id else None
        if full is not None and full.job.kind == RESPONSE:
            return full
    raise NotFound(
        "There is no such response. Those made with `background: true` are kept, others are not.",
        param="response_id",
    )


def made(full: Full) -> background.Made:
    """The response that the job makes."""
    job = full.job
    result = None if full.result is None else msgspec.json.decode(full.result)
    status = _STATUS[job.state]
    if isinstance(result, dict) and status == "completed":
        status = result.get("status") or status
    return background.Made(
        id=background.response_id(job.id),
        asked=_asked(full),
        created_at=job.created_at,
        status=status,
        finished_at=job.finished_at,
        result=result,
        problem=_problem_of(job),
    )


def told(full: Full) -> Json:
    """The response object."""
    return background.told(made(full))


def check_streams(full: Full) -> None:
    """Raises InvalidValue for a response that was not asked for as a stream."""
    if not _asked(full).get("stream"):
        raise InvalidValue(
            "`stream`: this response was not made with `stream: true`, so it has no events."
            " Leave `stream` out and ask again until its status says that it is over.",
            param="stream",
        )


async def events(
    desk: Desk, key: Key, full: Full, after: int, closing: Callable[[], bool]
) -> AsyncGenerator[bytes, None]:
    """The response's events after number `after`, -1 is all; the last ends it.

    Where this process leaves, the stream just ends, and the caller asks for the rest elsewhere.
    """
    now = made(full)
    for number in range(after + 1, background.HEAD_EVENTS):
        yield background.head_event(now, number)
    place = max(0, after + 1 - background.HEAD_EVENTS)
    if place and full.job.state in FINAL and not await desk.events(full.job.id, place - 1, 1):
        return  # the end has been told
    try:
        async with aclosing(follow(desk, key, full.job.id, place, closing)) as seen:
            async for what in seen:
                if isinstance(what, Said):
                    place = what.number
                    yield background.event(now, place, what.event)
                elif isinstance(what, Job) and what.state in FINAL - {"succeeded"}:
                    ended = now._replace(status=_STATUS[what.state], problem=_problem_of(what))
                    yield background.last_event(ended, place)
    except Draining:
        return


def _problem_of(job: Job) -> Problem | None:
    if job.state == "expired":
        return _EXPIRED
    return None if job.error is None else _problem.decode(job.error)


def _asked(full: Full) -> Json:
    asked: Json = msgspec.json.decode(full.args)["body"]
    return asked
