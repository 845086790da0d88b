"""/api/v1/requests: what became of single requests. Rule: another key's request is one that is not there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import InvalidValue, NotFound
from gatemill.edge.admin.bodies import Asked
from gatemill.edge.admin.usage import FILTERS
from gatemill.gateway import explain
from gatemill.ledger.requests import END_S, STATUS_MAX, Sieve, Wanted, place
from gatemill.wire.limits import usd

if TYPE_CHECKING:
    from gatemill.core.call import UsageRow
    from gatemill.edge.admin.clerk import Clerk
    from gatemill.edge.application import Application
    from gatemill.ledger.requests import Found

SEARCH = ("before", "after", "status", "error", "since", "until", "min_latency_ms", *FILTERS)
_CLASSES = {"4xx": (400, 499), "5xx": (500, 599)}
_STATUS = re.compile(r"[1-5]\d\d", re.ASCII)
_LATENCY_MS_MAX = 86_400_000


def add(app: Application, clerk: Clerk) -> None:
    """The routes."""

    async def recent(request: Request) -> Response:
        asked = Asked(request, "limit", *SEARCH)
        _, key_id = clerk.scope(request, asked.text("key"))
        await clerk.ledger.flushed()
        wanted = search(asked, clerk.now_s, key_id, asked.limit())
        found = await clerk.ledger.reports.requests(wanted)
        return clerk.answer(listing(found, is_newer=wanted.after is not None))

    async def one(request: Request, request_id: str) -> Response:
        _, key_id = clerk.scope(request, "")
        await clerk.ledger.flushed()
        rows = await clerk.ledger.reports.request(request_id)
        if not rows or key_id not in ("", rows[0].key_id):
            raise NotFound(
                "There is no request with this id. It stands in the header x-request-id, and is kept"
                " for stores.usage_retention_days days.",
                param="id",
            )
        return clerk.answer(explain.past(rows))

    app.add_api_route("/api/v1/requests", recent, methods=["GET"], **describe.route("requests"))
    app.add_api_route(
        "/api/v1/requests/{request_id}/explain",
        one,
        methods=["GET"],
        **describe.route("requests_explain"),
    )


def search(asked: Asked, now_s: float, key_id: str, limit: int) -> Wanted:
    """The page of attempts that a query asks for, of this key where there is one. Raises InvalidValue."""
    since_s = asked.moment_s("since", now_s, "0") if asked.text("since") else 0.0
    until_s = asked.moment_s("until", now_s, "0") if asked.text("until") else END_S
    before, after = asked.text("before"), asked.text("after")
    if before and after:
        raise InvalidValue("`after`: send either `before` or `after`.", param="after")
    return Wanted(
        _sieve(asked, key_id),
        limit,
        since_s,
        until_s,
        place(before, "before") if before else None,
        place(after, "after") if after else None,
    )


def listing(found: Found, *, is_newer: bool) -> dict[str, Any]:
    """A page of attempts as JSON."""
    onward = found.newer if is_newer else found.older
    return {
        "object": "list",
        "data": [_shown(row) for row in found.rows],
        "has_more": onward is not None,
        "before": None if found.older is None else found.older.text,
        "after": None if found.newer is None else found.newer.text,
        "searched_to": found.looked_to_s,
    }


def _sieve(asked: Asked, key_id: str) -> Sieve:
    status = asked.text("status")
    low, high = 0, STATUS_MAX
    if status in _CLASSES:
        low, high = _CLASSES[status]
    elif status not in ("", "ok", "error"):
        if not _STATUS.fullmatch(status):
            raise InvalidValue(
                "`status`: send ok, error, 4xx, 5xx or a status such as 429.", param="status"
            )
        low = high = int(status)
    slow = "min_latency_ms"
    latency_ms = asked.whole(slow, None, _LATENCY_MS_MAX) if asked.text(slow) else None
    said = {name: asked.text(name) for name in FILTERS}
    return Sieve(
        **{**said, "key": key_id},
        outcome=status if status in ("ok", "error") else "",
        error=asked.text("error"),
        status_from=low,
        status_to=high,
        latency_ms=float(latency_ms or 0),
    )


def _shown(row: UsageRow) -> dict[str, Any]:
    return {
        "object": "attempt",
        "request_id": row.request_id,
        "attempt": row.attempt,
        "at": row.at,
        "key_id": row.key_id,
        "user_id": row.user_id,
        "team_id": row.team_id,
        "operation": row.operation,
        "model": row.model,
        "target": f"{row.provider}/{row.target_model}" if row.provider else "",
        "version": row.version,
        "stream": row.stream,
        "status": row.status,
        "error": row.error or None,
        "cache": row.cache or None,
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "cost_usd": None if row.cost_microusd is None else usd(row.cost_microusd),
        "latency_ms": row.latency_ms,
        "first_token_ms": row.first_token_ms,
        "offset_ms": row.offset_ms,
        "job_id": row.job_id or None,
        "trace_id": row.trace_id or None,
    }
