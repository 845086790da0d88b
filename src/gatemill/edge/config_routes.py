"""Control routes of the configuration. Rule: edge/access.py says that each needs an admin key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import InvalidValue, NotFound

if TYPE_CHECKING:
    from gatemill.edge.application import Application
    from gatemill.edge.reload import Reloader
    from gatemill.edge.shown import Shown

_encode = msgspec.json.Encoder().encode


def add(app: Application, shown: Shown) -> None:
    """The routes below /api/v1/config."""

    async def reload(request: Request) -> Response:
        reloader = _reloader(shown)
        dry_run = request.query_params.get("dry_run", "false") not in ("false", "0")
        outcome = await reloader.reload(dry_run=dry_run)
        if outcome.errors:
            count = "1 mistake" if len(outcome.errors) == 1 else f"{len(outcome.errors)} mistakes"
            first = f"{count} in the configuration; {outcome.version} stays in effect."
            raise InvalidValue("\n".join((first, *outcome.errors)))
        if not dry_run:
            reloader.tell_others()
        return _answer(
            shown,
            {
                "outcome": outcome.outcome,
                "dry_run": dry_run,
                "version": outcome.version,
                "changes": outcome.changes,
                "needs_restart": outcome.needs_restart,
                "workers": reloader.workers,
            },
        )

    async def versions() -> Response:
        reloader = _reloader(shown)
        kept = [
            {"number": entry.number, "version": entry.version, "applied_at": entry.unix_s}
            for entry in reloader.history.entries()
        ]
        return _answer(shown, {"version": shown.door.gateway.version, "data": kept})

    app.add_api_route(
        "/api/v1/config/reload", reload, methods=["POST"], **describe.route("config_reload")
    )
    app.add_api_route(
        "/api/v1/config/versions", versions, methods=["GET"], **describe.route("config_versions")
    )


def _reloader(shown: Shown) -> Reloader:
    """What loads it. Raises NotFound."""
    if shown.reloader is None:
        raise NotFound("This server was started without a file that could be loaded again.")
    return shown.reloader


def _answer(shown: Shown, value: Any) -> Response:
    gateway = shown.door.gateway
    headers = {"x-request-id": gateway.new_id(gateway.clock.unix_s())}
    return Response(_encode(value), headers=headers, media_type="application/json")
