"""/v1/queues: how much waits where, and a way to hold it. Rule: for admins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.edge.admin.bodies import Asked
from gatemill.jobs import queues

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.jobs.counter import Counter

_PATH = "/v1/queues"


def add(app: Application, counter: Counter) -> None:
    """The routes."""
    clerk = counter.clerk

    async def listed(request: Request) -> Response:
        Asked(request)
        found = await queues.listed(counter.desk.services)
        return clerk.listing(found, len(found))

    async def pause(request: Request, name: str) -> Response:
        return clerk.answer(await queues.pause(counter.desk.services, name, paused=True))

    async def resume(request: Request, name: str) -> Response:
        return clerk.answer(await queues.pause(counter.desk.services, name, paused=False))

    app.add_api_route(_PATH, listed, methods=["GET"], **describe.route("queues"))
    path = _PATH + "/{name}"
    app.add_api_route(path + "/pause", pause, methods=["POST"], **describe.route("queues_pause"))
    app.add_api_route(path + "/resume", resume, methods=["POST"], **describe.route("queues_resume"))
