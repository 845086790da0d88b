"""/api/v1/usage: what was used. Rule: a key that is no admin's sees its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.edge.admin.bodies import LIST_MAX, Asked
from gatemill.ledger.reports import Query
from gatemill.ledger.usage import Filters
from gatemill.wire import report
from gatemill.wire.moments import iso

if TYPE_CHECKING:
    from gatemill.edge.admin.clerk import Clerk
    from gatemill.edge.application import Application

FILTERS = ("key", "user", "team", "model", "provider")
_HOURS_MAX = 24 * 366
_HOURS = 24


def add(app: Application, clerk: Clerk) -> None:
    """The routes."""

    async def usage(request: Request) -> Response:
        asked = Asked(request, "by", "since", "until", "format", "limit", *FILTERS)
        _, key_id = clerk.scope(request, asked.text("key"))
        now_s = clerk.now_s
        since_s, until_s = asked.moment_s("since", now_s, "7d"), asked.moment_s("until", now_s, "")
        by, kind = asked.words("by"), asked.word("format", "json", "csv")
        query = Query(since_s, until_s, by, filters(asked, key_id), asked.limit(LIST_MAX))
        await clerk.ledger.flushed()
        lines = await clerk.ledger.reports.usage(query)
        rows = [report.row(by, msgspec.structs.asdict(x), x.mean_latency_ms) for x in lines]
        if kind == "csv":
            return clerk.text(report.as_csv(by, rows).encode(), "text/csv; charset=utf-8")
        return clerk.answer(
            {"object": "usage", "since": iso(since_s), "until": iso(until_s), "data": rows}
        )

    async def summary(request: Request) -> Response:
        asked = Asked(request, "hours", *FILTERS)
        _, key_id = clerk.scope(request, asked.text("key"))
        hours = asked.whole("hours", _HOURS, _HOURS_MAX) or _HOURS
        until_s = clerk.now_s
        await clerk.ledger.flushed()
        since_s = until_s - hours * 3_600
        found = await clerk.ledger.reports.summary(since_s, until_s, filters(asked, key_id))
        told = report.summary(msgspec.to_builtins(found))
        return clerk.answer({"object": "usage_summary", "hours": hours, **told})

    app.add_api_route("/api/v1/usage", usage, methods=["GET"], **describe.route("usage"))
    app.add_api_route(
        "/api/v1/usage/summary", summary, methods=["GET"], **describe.route("usage_summary")
    )


def filters(asked: Asked, key_id: str) -> Filters:
    """Which rows the query asks for, of this key where there is one."""
    said = {name: asked.text(name) for name in FILTERS}
    return Filters(**{**said, "key": key_id})
