"""GET /api/v1/audit: who changed what, who signed in, who could not, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.edge.admin.bodies import LIST_MAX, Asked
from gatemill.ledger.audit import Wanted

if TYPE_CHECKING:
    from gatemill.edge.admin.clerk import Clerk
    from gatemill.edge.application import Application
    from gatemill.ledger.audit import AuditEntry

_ID_MAX = 2**63 - 1
_WORDS = ("actor", "action", "kind", "object_id")
_NOW_TOO_S = 0.001  # an entry of this very moment is older than the end of the range


def add(app: Application, clerk: Clerk) -> None:
    """The route."""

    async def listed(request: Request) -> Response:
        asked = Asked(request, "limit", "before", "since", "until", *_WORDS)
        limit = asked.limit()
        before = asked.whole("before", None, _ID_MAX)
        wanted = Wanted(
            since_s=asked.moment_s("since", clerk.now_s, "0"),
            until_s=asked.moment_s("until", clerk.now_s, "") + _NOW_TOO_S,
            **{word: asked.text(word) for word in _WORDS},
        )
        found = await clerk.ledger.people.audit_log(min(limit + 1, LIST_MAX), before, wanted)
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
