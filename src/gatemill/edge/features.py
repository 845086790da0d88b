"""/v1/feature_sets and /v1/features: what is known of users and other entities.

Rule: all of it needs an admin key, because a feature decides what others get, and tells of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.edge.admin.bodies import Asked, read
from gatemill.edge.admin.clerk import Clerk
from gatemill.edge.deferred import desk_of
from gatemill.features.words import ReadNew, SetNew, WriteNew

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown
    from gatemill.features.desk import Desk
    from gatemill.ledger.features import Given, Set

SETS = "/v1/feature_sets"
VALUES = "/v1/features"
LOG_LIMIT_MAX = 1_000
_ONE = SETS + "/{name}"


def add(app: Application, shown: Shown) -> None:
    """The routes."""
    clerk = Clerk(shown)

    def desk() -> Desk:
        return desk_of(shown.door).services.rooms.features

    _add_sets(app, clerk, desk)
    _add_values(app, clerk, desk)


def _add_sets(app: Application, clerk: Clerk, desk: Any) -> None:
    async def put(request: Request, name: str) -> Response:
        made, _ = await desk().put(name, await read(request, SetNew))
        return clerk.answer(_set(made))

    async def listed(request: Request) -> Response:
        Asked(request)
        found = [_set(one) for one in desk().table.sets.values()]
        return clerk.listing(found, len(found))

    async def one(request: Request, name: str) -> Response:
        return clerk.answer(_set(desk().find(name)))

    async def delete(request: Request, name: str) -> Response:
        await desk().delete(name)
        return clerk.answer({"object": "feature_set", "name": name, "deleted": True})

    app.add_api_route(SETS, listed, methods=["GET"], **describe.route("feature_sets"))
    app.add_api_route(_ONE, one, methods=["GET"], **describe.route("feature_set"))
    app.add_api_route(_ONE, put, methods=["PUT"], **describe.route("feature_sets_put"))
    app.add_api_route(_ONE, delete, methods=["DELETE"], **describe.route("feature_sets_delete"))


def _add_values(app: Application, clerk: Clerk, desk: Any) -> None:
    async def write(request: Request) -> Response:
        count = await desk().write(await read(request, WriteNew))
        return clerk.answer({"object": "features.written", "written": count})

    async def look(request: Request) -> Response:
        rows = await desk().read(await read(request, ReadNew))
        return clerk.answer({"object": "features.read", "rows": rows})

    async def log(request: Request) -> Response:
        asked = Asked(request, "as_of", "since", "set", "limit", "after")
        limit = asked.whole("limit", 100, LOG_LIMIT_MAX) or 100
        until_s = asked.moment_s("as_of", clerk.now_s, "")
        since_s = asked.moment_s("since", clerk.now_s, "0")
        found = await desk().logged(
            since_s, until_s, asked.text("set"), limit + 1, asked.text("after")
        )
        return clerk.listing([_given(one) for one in found], limit)

    app.add_api_route(
        VALUES + "/write", write, methods=["POST"], **describe.route("features_write")
    )
    app.add_api_route(VALUES + "/read", look, methods=["POST"], **describe.route("features_read"))
    app.add_api_route(VALUES + "/log", log, methods=["GET"], **describe.route("features_log"))


def _set(one: Set) -> dict[str, Any]:
    return {
        "object": "feature_set",
        "name": one.name,
        "entity": one.entity,
        "features": [
            {
                "name": feature.name,
                "type": feature.type,
                "default": feature.default,
                "ttl_s": feature.ttl_s,
                **({"ref": feature.ref} if feature.ref else {}),
            }
            for feature in one.features
        ],
        "trusted": one.trusted,
        "source": one.source,
        "join_key": one.join_key or None,
        "created_at": int(one.created_at),
        "updated_at": int(one.updated_at),
    }


def _given(one: Given) -> dict[str, Any]:
    return {
        "object": "features.given",
        "request_id": one.request_id,
        "at": one.at,
        "key_id": one.key_id,
        "operation": one.operation,
        "model": one.model,
        "sets": list(one.sets),
        "entities": one.entities,
        "values": one.given,
    }
