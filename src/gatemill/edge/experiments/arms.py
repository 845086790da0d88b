"""What is known of an experiment: results, changes, and who gets which arm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import MissingParameter, NotFound
from gatemill.edge.admin.bodies import Asked
from gatemill.edge.experiments.told import ONE, Window, event
from gatemill.edge.jobs.counter import page
from gatemill.gateway.routes import allows

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown

_VERSION_MAX = 2**53


def add(app: Application, shown: Shown) -> None:
    """The routes."""
    window = Window(shown)
    clerk = window.clerk

    async def results(request: Request, experiment_id: str) -> Response:
        return clerk.answer(await window.desk.results(experiment_id))

    async def events(request: Request, experiment_id: str) -> Response:
        asked = Asked(request, "limit", "before")
        limit, before = page(asked), asked.whole("before", None, _VERSION_MAX)
        found = await window.desk.events(experiment_id, limit + 1, before)
        return clerk.listing([event(each) for each in found], limit)

    async def assignment(request: Request, experiment_id: str) -> Response:
        key = clerk.caller(request)
        unit = Asked(request, "unit").text("unit")
        if not unit:
            raise MissingParameter("`unit`: is required: whose arm you ask for.", param="unit")
        one = await window.desk.get(experiment_id)
        # A key that may not call the model does not hear that it is split.
        if not key.may("admin:read") and (one.state == "draft" or not allows(key, one.served)):
            raise NotFound("There is no such experiment.", param="id")
        said = {
            "object": "experiment.assignment",
            "id": one.id,
            "unit": unit,
            "arm": window.desk.assigned(one, unit),
        }
        return clerk.answer(said)

    path = ONE + "/results"
    app.add_api_route(path, results, methods=["GET"], **describe.route("experiments_results"))
    path = ONE + "/events"
    app.add_api_route(path, events, methods=["GET"], **describe.route("experiments_events"))
    path = ONE + "/assignment"
    app.add_api_route(path, assignment, methods=["GET"], **describe.route("experiments_assignment"))
