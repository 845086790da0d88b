"""Budgets that reached a share of their limit, until somebody was told. Rule: noted once, delivered at least once.

Several processes see the same crossing; the first to note it wins. A due alert is given to one of
them at a time, for `LEASE_S`: who dies with it is succeeded by the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gatemill.ledger import queries

if TYPE_CHECKING:
    from gatemill.ledger.database import Database
    from gatemill.ledger.writer import Write

LEASE_S = 60.0  # a delivery takes less
DUE_MAX = 100  # alerts given out at once
DELETE_ROWS = 500
KEPT_S = 400 * 86_400.0  # longer than the longest window that repeats

_SQL = queries.load("alerts")
_ADD = _SQL["add_alert"]
_TAKE_DUE = _SQL["take_due_alerts"]
_DELIVER = _SQL["deliver_alert"]
_DELAY = _SQL["delay_alert"]
_DELETE = _SQL["delete_alerts"]


class Alert(Struct, frozen=True):
    """One budget in one of its windows has reached one share. The first five fields tell it apart."""

    scope: str  # "key", "user", "team" or "model"
    scope_id: str
    period: str  # "day", "week", "month" or "total"
    window_start_s: float  # Unix time; 0 for "total"
    share: float  # of the limit
    limit_microusd: int
    spent_microusd: int  # when it was noticed
    created_s: float  # Unix time
    delivered_s: float | None = None
    tries: int = 0  # times it was given out for delivery
    next_s: float = 0.0  # Unix time at which it is given out again


class Alerts:
    """The outbox."""

    def __init__(self, write: Write) -> None:
        self._write = write

    async def add_alert(self, alert: Alert) -> bool:
        """The alert waits for delivery; False when it was noted before, here or elsewhere."""
        row = msgspec.structs.asdict(alert)
        return bool(await self._write(lambda database: database.run(_ADD, row)))

    async def due_alerts(self, now_s: float, limit: int) -> list[Alert]:
        """Alerts to deliver now. Nobody else is given them within `LEASE_S`."""
        span = {"now_s": now_s, "lease_until_s": now_s + LEASE_S, "limit": min(limit, DUE_MAX)}
        found = await self._write(lambda database: database.rows(_TAKE_DUE, span))
        return msgspec.convert(found, list[Alert], strict=False)

    async def alert_delivered(self, alert: Alert, now_s: float) -> None:
        """It is never due again."""
        row = {**msgspec.structs.asdict(alert), "delivered_s": now_s}
        await self._write(lambda database: database.run(_DELIVER, row))

    async def alert_failed(self, alert: Alert, next_s: float) -> None:
        """It is due again at a Unix time."""
        row = {**msgspec.structs.asdict(alert), "next_s": next_s}
        await self._write(lambda database: database.run(_DELAY, row))


def delete_before(database: Database, before_s: float) -> int:
    """The number of delivered alerts deleted that are older; fewer than `DELETE_ROWS`: it was all."""
    return database.run(_DELETE, {"before_s": before_s, "limit": DELETE_ROWS})
