"""POST /api/v1/data/purge: everything of a key, of a user, or from before a day is deleted.

Rule: one request works for a few seconds at most and says whether it is done; whoever asks again goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gatemill import describe
from gatemill.core.errors import InvalidValue
from gatemill.edge.admin.bodies import read
from gatemill.ledger.purge import Whose
from gatemill.wire.moments import moment_s

if TYPE_CHECKING:
    from gatemill.edge.admin.clerk import Clerk
    from gatemill.edge.application import Application
    from gatemill.ledger.purge import Purged


class _Purge(Struct):
    key_id: str | None = None
    user_id: str | None = None
    before: str | None = None
    dry_run: bool = False


def add(app: Application, clerk: Clerk) -> None:
    """The route."""

    async def purge(request: Request) -> Response:
        said = await read(request, _Purge)
        whose = _whose(said, clerk.now_s)
        gateway = clerk.gateway
        if gateway.recorder is not None:
            await gateway.recorder.flushed()
        if said.dry_run:
            return clerk.answer(_told(await clerk.ledger.purge.count(whose), dry=True))
        made = await clerk.ledger.purge.some(whose, clerk.caller(request).id)
        if made.done:
            # An answer does not say for whom it is kept, so all of them go.
            made.rows["kept answers"] = await gateway.recall.forget()
        return clerk.answer(_told(made, dry=False))

    app.add_api_route("/api/v1/data/purge", purge, methods=["POST"], **describe.route("data_purge"))


def _whose(said: _Purge, now_s: float) -> Whose:
    given = [name for name in ("key_id", "user_id", "before") if getattr(said, name)]
    if len(given) != 1:
        raise InvalidValue(
            "Say whose data is to go: one of `key_id`, `user_id` and `before`.", param="key_id"
        )
    if said.before is None:
        return Whose(said.key_id or "", said.user_id or "")
    before_s = moment_s(said.before, now_s, "before")
    if before_s > now_s:
        raise InvalidValue("`before`: name a moment of the past.", param="before")
    return Whose(before_s=before_s)


def _told(made: Purged, *, dry: bool) -> dict[str, object]:
    return {
        "object": "purge",
        "dry_run": dry,
        "done": made.done,
        "rows": {table: count for table, count in sorted(made.rows.items()) if count},
        "left": made.left,
        "overwritten": made.overwritten,
    }
