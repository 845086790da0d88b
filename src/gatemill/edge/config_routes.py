"""Control routes of the configuration. Rule: every one needs an admin key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import Request
from fastapi.responses import Response

from gatemill.core.errors import InvalidValue, NotFound, PermissionDenied
from gatemill.edge import describe
from gatemill.edge.arrival import bearer
from gatemill.gateway.identify import identify

if TYPE_CHECKING:
    from fastapi import FastAPI

    from gatemill.edge.reload import Reloader
    from gatemill.edge.shown import Shown

_encode = msgspec.json.Encoder().encode


def add(app: FastAPI, shown: Shown) -> None:
    """The routes below /api/v1/config."""

    async def reload(request: Request) -> Response:
        reloader = _reloader(shown, request)
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

    async def versions(request: Request) -> Response:
        reloader = _reloader(shown, request)
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


def _reloader(shown: Shown, request: Request) -> Reloader:
    """What the caller may work with. Raises InvalidApiKey, PermissionDenied, NotFound."""
    headers, gateway = request.headers, shown.door.gateway
    secret = bearer(headers.get("authorization", "").encode("latin-1"))
    secret = secret or headers.get("x-api-key", "").encode("latin-1")
    if not identify(gateway.keys, secret, gateway.clock.unix_s()).admin:
        raise PermissionDenied("The configuration needs an admin key.")
    if shown.reloader is None:
        raise NotFound("This server was started without a file that could be loaded again.")
    return shown.reloader


def _answer(shown: Shown, value: Any) -> Response:
    gateway = shown.door.gateway
    headers = {"x-request-id": gateway.new_id(gateway.clock.unix_s())}
    return Response(_encode(value), headers=headers, media_type="application/json")
