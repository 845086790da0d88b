"""GET /api/v1/audit: who changed what, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import Response

from gatemill.edge import describe
from gatemill.edge.admin.bodies import LIST_MAX, Asked

if TYPE_CHECKING:
    from fastapi import FastAPI

    from gatemill.edge.admin.clerk import Clerk
    from gatemill.ledger.audit import AuditEntry

_ID_MAX = 2**63 - 1


def add(app: FastAPI, clerk: Clerk) -> None:
    """The route."""

    async def listed(request: Request) -> Response:
        clerk.admin(request)
        asked = Asked(request, "limit", "before")
        limit = asked.limit()
        before = asked.whole("before", None, _ID_MAX)
        found = await clerk.ledger.people.audit_log(min(limit + 1, LIST_MAX), before)
        return clerk.listing([_shown(entry) for entry in found], limit)

    app.add_api_route("/api/v1/audit", listed, methods=["GET"], **describe.route("audit"))


def _shown(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "kind": entry.kind,
        "object_id": entry.object_id,
        "detail": entry.detail,
    }
