"""/v1/experiments: made, started, paused, concluded. Rule: all of it needs an admin key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.edge.admin.bodies import Asked
from gatemill.edge.experiments.told import ONE, PATH, Window, experiment
from gatemill.edge.jobs.counter import page
from gatemill.experiments.asked import Act, Change, Conclusion, NewExperiment
from gatemill.ledger.experiment_rows import STATES

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown


def add(app: Application, shown: Shown) -> None:
    """The routes."""
    window = Window(shown)
    _add_making(app, window)
    _add_acts(app, window)


def _add_making(app: Application, window: Window) -> None:
    clerk = window.clerk

    async def create(request: Request) -> Response:
        admin = clerk.caller(request)
        said = await window.counter.read(request, NewExperiment)
        return clerk.answer(experiment(await window.desk.create(admin, said)), 201)

    async def listed(request: Request) -> Response:
        asked = Asked(request, "limit", "after", "state")
        limit = page(asked)
        state = asked.word("state", "", *STATES)
        found = await window.desk.listed(state, limit + 1, asked.text("after"))
        return clerk.listing([experiment(one) for one in found], limit)

    async def one(request: Request, experiment_id: str) -> Response:
        return clerk.answer(experiment(await window.desk.get(experiment_id)))

    async def change(request: Request, experiment_id: str) -> Response:
        admin = clerk.caller(request)
        said = await window.counter.read(request, Change)
        return clerk.answer(experiment(await window.desk.change(admin, experiment_id, said)))

    async def delete(request: Request, experiment_id: str) -> Response:
        admin = clerk.caller(request)
        gone = await window.desk.delete(admin, experiment_id)
        return clerk.answer({"object": "experiment", "id": gone.id, "deleted": True})

    app.add_api_route(PATH, create, methods=["POST"], **describe.route("experiments_create"))
    app.add_api_route(PATH, listed, methods=["GET"], **describe.route("experiments"))
    app.add_api_route(ONE, one, methods=["GET"], **describe.route("experiment"))
    app.add_api_route(ONE, change, methods=["PATCH"], **describe.route("experiments_update"))
    app.add_api_route(ONE, delete, methods=["DELETE"], **describe.route("experiments_delete"))


def _add_acts(app: Application, window: Window) -> None:
    clerk = window.clerk

    async def start(request: Request, experiment_id: str) -> Response:
        admin = clerk.caller(request)
        said = await window.counter.read(request, Act)
        found = await window.desk.start(admin, experiment_id, said.reason)
        return clerk.answer(experiment(found))

    async def pause(request: Request, experiment_id: str) -> Response:
        admin = clerk.caller(request)
        said = await window.counter.read(request, Act)
        found = await window.desk.pause(admin, experiment_id, said.reason)
        return clerk.answer(experiment(found))

    async def conclude(request: Request, experiment_id: str) -> Response:
        admin = clerk.caller(request)
        said = await window.counter.read(request, Conclusion)
        found = await window.desk.conclude(admin, experiment_id, said.winner, said.reason)
        return clerk.answer(experiment(found))

    path = ONE + "/start"
    app.add_api_route(path, start, methods=["POST"], **describe.route("experiments_start"))
    path = ONE + "/pause"
    app.add_api_route(path, pause, methods=["POST"], **describe.route("experiments_pause"))
    path = ONE + "/conclude"
    app.add_api_route(path, conclude, methods=["POST"], **describe.route("experiments_conclude"))
