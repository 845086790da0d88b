"""/v1/responses/{id}: responses in the background: fetch, follow, cancel, delete.

Rule: what OpenAI's SDK does with a response in the background works unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.job import FINAL
from gatemill.edge import background
from gatemill.edge.jobs.events import place

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.edge.application import Application
    from gatemill.edge.jobs.counter import Counter

_ONE = "/v1/responses/{response_id}"
STOPPED_S_MAX = 3.0  # running work stops within two
_LOOK_EVERY_S = 0.25


def add(app: Application, counter: Counter) -> None:
    """The routes."""
    clerk = counter.clerk

    async def one(request: Request, response_id: str) -> Response:
        key = counter.caller(request)
        asked = request.query_params  # `include` may stand several times, and changes nothing
        full = await background.find(counter.desk, key, response_id)
        if asked.get("stream", "").lower() != "true":
            return clerk.answer(background.told(full))
        background.check_streams(full)
        after = place(asked.get("starting_after", ""), "starting_after", -1)
        events = background.events(counter.desk, key, full, after, counter.is_closing)
        return counter.flow(request, events, "responses")

    async def cancel(request: Request, response_id: str) -> Response:
        key = counter.caller(request)
        full = await background.find(counter.desk, key, response_id)
        await counter.desk.cancel(key, full.job.id)
        await _ended(counter, key, full.job.id)
        return clerk.answer(background.told(await counter.desk.full(key, full.job.id)))

    async def delete(request: Request, response_id: str) -> Response:
        key = counter.caller(request)
        full = await background.find(counter.desk, key, response_id)
        await counter.desk.delete(key, full.job.id)
        return clerk.answer({"id": response_id, "object": "response", "deleted": True})

    app.add_api_route(_ONE, one, methods=["GET"], **describe.route("response"))
    app.add_api_route(_ONE, delete, methods=["DELETE"], **describe.route("responses_delete"))
    app.add_api_route(
        _ONE + "/cancel", cancel, methods=["POST"], **describe.route("responses_cancel")
    )


async def _ended(counter: Counter, key: Key, job_id: str) -> None:
    """The job has ended, or has not within `STOPPED_S_MAX`."""
    desk = counter.desk
    until_s = counter.now_s + STOPPED_S_MAX
    with desk.news.of(job_id) as ear:
        while True:
            ear.forget()
            job, _ = await desk.look(key, job_id)
            if job.state in FINAL or counter.now_s > until_s:
                return
            await ear.wait(_LOOK_EVERY_S)
