"""GET /api/v1/alerts: what is wrong with this installation, and what was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.edge.admin.bodies import LIST_MAX, Asked
from gatemill.policy.incidents import RULES, runbook

if TYPE_CHECKING:
    from gatemill.edge.admin.clerk import Clerk
    from gatemill.edge.application import Application
    from gatemill.ledger.incidents import Incident


def add(app: Application, clerk: Clerk) -> None:
    """The route."""

    async def listed(request: Request) -> Response:
        asked = Asked(request, "limit", "before", "state", "name")
        limit = asked.limit()
        state, name = asked.word("state", "", "open", "closed"), asked.word("name", "", *RULES)
        before = asked.text("before")
        found = await clerk.ledger.incidents.listed(min(limit + 1, LIST_MAX), state, name, before)
        return clerk.listing([shown(incident) for incident in found], limit)

    app.add_api_route("/api/v1/alerts", listed, methods=["GET"], **describe.route("alerts"))


def shown(incident: Incident) -> dict[str, Any]:
    """An incident as the API tells it, and as pages do."""
    rule = RULES.get(incident.name)
    return {
        "object": "alert",
        "id": incident.id,
        "name": incident.name,
        "subject": incident.subject,
        "state": "open" if incident.closed_s is None else "closed",
        "severity": incident.severity,
        "value": incident.value,
        "threshold": incident.threshold,
        "since": incident.since_s,
        "opened_at": incident.opened_s,
        "seen_at": incident.seen_s,
        "closed_at": incident.closed_s,
        "summary": rule.summary if rule else "",
        "remedy": rule.remedy if rule else "",
        "runbook": runbook(incident.name),
    }
