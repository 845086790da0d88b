"""Local models: how they stand, loading, unloading. Rule: an admin's business, and this process's only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import ModelNotFound
from gatemill.edge.admin.clerk import Clerk
from gatemill.edge.deferred import desk_of

if TYPE_CHECKING:
    from gatemill.core.model import Loaded, ModelSpec
    from gatemill.core.ports import Json
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown
    from gatemill.jobs.services import Rooms

RUNNERS = "/v1/runners"
MODEL = "/v1/models/{name:rest}"


def add(app: Application, shown: Shown) -> None:
    """The routes."""
    clerk = Clerk(shown)

    def rooms() -> Rooms:
        return desk_of(shown.door).services.rooms

    async def runners(request: Request) -> Response:
        shelf = rooms().shelf
        data = [runner(one) for one in shelf.states()]
        return clerk.answer({"object": "list", "data": data, "memory_bytes": shelf.memory_bytes})

    async def load(request: Request, name: str) -> Response:
        found = rooms()
        return clerk.answer(runner(await found.shelf.load(spec_of(found, name))))

    async def unload(request: Request, name: str) -> Response:
        found = rooms()
        return clerk.answer(runner(await found.shelf.unload(spec_of(found, name).name)))

    app.add_api_route(RUNNERS, runners, methods=["GET"], **describe.route("runners"))
    app.add_api_route(MODEL + "/load", load, methods=["POST"], **describe.route("models_load"))
    app.add_api_route(
        MODEL + "/unload", unload, methods=["POST"], **describe.route("models_unload")
    )


def spec_of(rooms: Rooms, name: str) -> ModelSpec:
    """What a name stands for: a model of [local], or a version of the registry. Raises ModelNotFound."""
    for served in rooms.registry.table.served:
        if served.name == name and served.spec is not None:
            return served.spec
    try:
        return rooms.shelf.find(name.removeprefix("local/"))
    except ModelNotFound:
        raise ModelNotFound(
            f"`{name[:200]}` is no model that runs here. GET {RUNNERS} lists them.", param="name"
        ) from None


def runner(one: Loaded) -> Json:
    """How a model stands, as JSON."""
    return {
        "model": one.name,
        "object": "runner",
        "task": one.task,
        "engine": one.engine,
        "state": one.state,
        "memory_bytes": one.memory_bytes,
        "error": one.error or None,
        "loaded_at": one.loaded_at,
        "used_at": one.used_at,
        "in_flight": one.in_flight,
        "waiting": one.waiting,
        "pid": one.pid,
        "restarts": one.restarts,
    }
