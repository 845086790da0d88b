"""/v1/recordings: requests and answers that were kept for replay.

Rule: only an admin key sees them, because they hold what callers wrote. Secrets are never in a body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import InvalidValue
from gatemill.edge.admin.bodies import Asked
from gatemill.edge.admin.clerk import Clerk
from gatemill.edge.deferred import desk_of
from gatemill.ledger.recordings import Sieve

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.shown import Shown
    from gatemill.ledger.recordings import Listed, Recordings

PATH = "/v1/recordings"
LIMIT_MAX = 1_000
_ONE = PATH + "/{request_id}"
_FILTERS = ("key", "model", "operation", "ended", "since", "until")


def add(app: Application, shown: Shown) -> None:
    """The routes."""
    clerk = Clerk(shown)

    async def kept() -> Recordings:
        services = desk_of(shown.door).services
        if services.gateway.recorder is not None:
            await services.gateway.recorder.flushed()
        return services.ledger.recordings

    async def listed(request: Request) -> Response:
        asked = Asked(request, "limit", "after", *_FILTERS)
        limit = asked.whole("limit", 100, LIMIT_MAX) or 100
        sieve = _sieve(asked, clerk.now_s)
        found = await (await kept()).listed(sieve, limit + 1, asked.text("after"))
        return clerk.listing([_told(one) for one in found], limit)

    async def one(request: Request, request_id: str) -> Response:
        found = await (await kept()).get(request_id)
        return clerk.answer(
            {
                **_told(found),
                "body": _json(found.body),
                "filled": None if found.filled is None else _json(found.filled),
                "answer": _json(found.answer),
            }
        )

    async def delete(request: Request, request_id: str) -> Response:
        await (await kept()).delete(request_id)
        return clerk.answer({"object": "recordings.deleted", "deleted": 1})

    async def delete_all(request: Request) -> Response:
        asked = Asked(request, "all", *_FILTERS)
        sieve = _sieve(asked, clerk.now_s)
        if asked.word("all", "false", "true") == "false" and not any(map(asked.text, _FILTERS)):
            raise InvalidValue(
                "`all`: name what to delete by a filter, or send all=true for all of them.",
                param="all",
            )
        count = await (await kept()).delete_all(sieve)
        return clerk.answer({"object": "recordings.deleted", "deleted": count})

    app.add_api_route(PATH, listed, methods=["GET"], **describe.route("recordings"))
    app.add_api_route(_ONE, one, methods=["GET"], **describe.route("recording"))
    app.add_api_route(PATH, delete_all, methods=["DELETE"], **describe.route("recordings_delete"))
    app.add_api_route(_ONE, delete, methods=["DELETE"], **describe.route("recording_delete"))


def _sieve(asked: Asked, now_s: float) -> Sieve:
    return Sieve(
        since_s=asked.moment_s("since", now_s, "0"),
        until_s=asked.moment_s("until", now_s, ""),
        key=asked.text("key"),
        model=asked.text("model"),
        operation=asked.text("operation"),
        ended=asked.word("ended", "", "ok", "error"),
    )


def _told(one: Listed) -> dict[str, Any]:
    return {
        "object": "recording",
        "request_id": one.request_id,
        "at": one.at,
        "key_id": one.key_id,
        "operation": one.operation,
        "model": one.model,
        "stream": one.streamed,
        "status": one.status,
        "error": one.error or None,
        "cache": one.cache or None,
        "bytes": one.size,
    }


def _json(data: bytes) -> Any:
    """The JSON that a body is; the events of a stream, and whatever is no JSON, as text."""
    if not data:
        return None
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data.decode("utf-8", "replace")
    return Raw(data)
