"""GET /v1/jobs/{id}/events: what happens to a job, as server-sent events.

Rule: only what the job itself has said has an `id`, so that Last-Event-ID names a place in its log;
`state` and `progress` say how it is now, and are told again to whoever comes back.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import InvalidValue
from gatemill.core.job import Job, Progress
from gatemill.edge.admin.bodies import Asked
from gatemill.jobs import shown
from gatemill.jobs.following import follow
from gatemill.wire import fields, sse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gatemill.core.call import Key
    from gatemill.edge.application import Application
    from gatemill.edge.jobs.counter import Counter

_NUMBER_MAX = 2**53


def add(app: Application, counter: Counter) -> None:
    """The route."""

    async def events(request: Request, job_id: str) -> Response:
        key = counter.caller(request)
        asked = Asked(request, "after")
        after = place(asked.text("after") or request.headers.get("last-event-id", ""), "after")
        await counter.desk.look(key, job_id)  # refused before a stream begins
        return counter.flow(request, _told(counter, key, job_id, after), "jobs")

    app.add_api_route(
        "/v1/jobs/{job_id}/events", events, methods=["GET"], **describe.route("jobs_events")
    )


def place(text: str, param: str, least: int = 0) -> int:
    """A number of an event; `least` where none is said. Raises InvalidValue."""
    if not text:
        return least
    if not (text.isascii() and text.isdigit() and int(text) < _NUMBER_MAX):
        raise InvalidValue(
            f"`{param}`: send the number of the last event that you have, such as 17.", param=param
        )
    return int(text)


async def _told(counter: Counter, key: Key, job_id: str, after: int) -> AsyncGenerator[bytes, None]:
    async with aclosing(follow(counter.desk, key, job_id, after, counter.is_closing)) as seen:
        async for what in seen:
            if isinstance(what, Job):
                yield sse.event(fields.encode(shown.job(what)), "state")
            elif isinstance(what, Progress):
                yield sse.event(fields.encode(shown.progress(what)), "progress")
            else:
                yield b"id: %d\n%b" % (what.number, what.event)
