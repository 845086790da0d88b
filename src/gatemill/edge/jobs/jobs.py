"""/v1/jobs: hand in, list, look, cancel. Rule: 202 means that the job is on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.job import STATES
from gatemill.edge.admin.bodies import Asked
from gatemill.edge.jobs.counter import PRIORITY_WORDS, priority
from gatemill.jobs import shown
from gatemill.jobs.submission import read
from gatemill.ledger.jobs.rows import Filter

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.jobs.counter import Counter

PATH = "/v1/jobs"
_ONE = PATH + "/{job_id}"
_FILTERS = ("state", "kind", "queue", "priority", "error", "parent")
MOMENTS = ("created_after", "created_before")


def add(app: Application, counter: Counter) -> None:
    """The routes."""
    _add_reading(app, counter)
    _add_changing(app, counter)


def _add_reading(app: Application, counter: Counter) -> None:
    clerk = counter.clerk

    async def listed(request: Request) -> Response:
        key = counter.caller(request)
        asked = Asked(request, "limit", "after", *_FILTERS, *MOMENTS)
        wanted = Filter(
            state=asked.word("state", "", *STATES),
            kind=asked.text("kind"),
            queue=asked.text("queue"),
            error=asked.text("error"),
            priority=priority(asked.word("priority", *PRIORITY_WORDS)),
            parent_id=asked.text("parent"),
            **moments(asked, clerk.now_s),
        )
        return await counter.listing(key, asked, wanted)

    async def one(request: Request, job_id: str) -> Response:
        key = counter.caller(request)
        return clerk.answer(await counter.desk.told(key, job_id))

    app.add_api_route(PATH, listed, methods=["GET"], **describe.route("jobs"))
    app.add_api_route(_ONE, one, methods=["GET"], **describe.route("job"))


def _add_changing(app: Application, counter: Counter) -> None:
    clerk = counter.clerk

    async def submit(request: Request) -> Response:
        key = counter.caller(request)
        body = await counter.body(request)
        said, is_list = read(body, clerk.gateway.json_depth_max)
        sender = counter.sender(request, key, body)
        found = await counter.desk.accept(sender, said, listed=is_list)
        jobs = [shown.job(each.job) for each in found]
        if is_list:
            answer = clerk.answer({"object": "list", "data": jobs, "has_more": False}, 202)
        else:
            answer = clerk.answer(jobs[0], 202)
            answer.headers["location"] = f"{PATH}/{jobs[0]['id']}"
        if not found[0].created:
            answer.headers["idempotent-replayed"] = "true"
        return answer

    async def cancel(request: Request, job_id: str) -> Response:
        key = counter.caller(request)
        return clerk.answer(shown.job(await counter.desk.cancel(key, job_id)))

    app.add_api_route(PATH, submit, methods=["POST"], **describe.route("jobs_create"))
    # The same for the dashboard.
    app.add_api_route(
        "/ui/jobs", submit, methods=["POST"], name="ui_jobs_create", include_in_schema=False
    )
    app.add_api_route(_ONE, cancel, methods=["DELETE"], **describe.route("jobs_cancel"))


def moments(asked: Asked, now_s: float) -> dict[str, Any]:
    """The filters by time that the query has. Raises InvalidValue."""
    return {f"{name}_s": asked.moment_s(name, now_s, "") for name in MOMENTS if asked.text(name)}
