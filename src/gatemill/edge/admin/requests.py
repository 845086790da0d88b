"""/api/v1/requests: what became of single requests. Rule: another key's request is one that is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import Response

from gatemill.core.errors import NotFound
from gatemill.edge import describe
from gatemill.edge.admin.bodies import LIST_MAX, Asked
from gatemill.edge.admin.usage import FILTERS, filters
from gatemill.gateway import explain
from gatemill.wire.limits import usd

if TYPE_CHECKING:
    from fastapi import FastAPI

    from gatemill.core.call import UsageRow
    from gatemill.edge.admin.clerk import Clerk


def add(app: FastAPI, clerk: Clerk) -> None:
    """The routes."""

    async def recent(request: Request) -> Response:
        asked = Asked(request, "limit", "status", *FILTERS)
        _, key_id = clerk.scope(request, asked.text("key"))
        limit, status = asked.limit(), asked.word("status", "", "ok", "error")
        await clerk.ledger.flushed()
        # A status is looked for among the newest only: there is no index for it, and no need.
        read = LIST_MAX if status else limit + 1
        rows = await clerk.ledger.reports.recent(read, filters(asked, key_id))
        found = [row for row in rows if not status or (status == "ok") == (row.error == "")]
        return clerk.listing([_shown(row) for row in found[: limit + 1]], limit)

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
    }
