"""What was wrong, from when until when, and the messages about it that are on their way.

Rule: several processes see the same incident, one of them opens it and one ends it; a message is
noted with the change that it tells of. An incident ends when nobody has seen it for a while, so that
those of a dead process end, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core import ids
from gatemill.ledger import queries
from gatemill.policy import period

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.clock import Clock
    from gatemill.ledger.database import Database
    from gatemill.ledger.reader import Reader
    from gatemill.ledger.writer import Write
    from gatemill.policy.incidents import Finding

OPENED, CLOSED = "alert.opened", "alert.closed"
LEASE_S = 60.0  # a delivery takes less
DUE_MAX = 100  # messages given out at once
WAITING_MAX = 1_000  # messages that wait; beyond it nobody is told of what begins
END_MAX = 100  # incidents ended at once
NEVER_S = 253_402_300_800.0  # the year 10000: when a message that was given up is due
KEPT_S = 90 * 86_400.0
DELETE_ROWS = 500
LETTERS_MAX = 100_000  # dead letters that are counted
LIST_MAX = 10_000

_SQL = queries.load("incidents")
_FIRST = (1e12, "")  # later than any incident


class Incident(Struct, frozen=True):
    """One rule broken, once."""

    id: str
    name: str  # of policy.incidents.RULES
    subject: str  # target, model or queue; "" is the whole
    severity: str
    value: float  # when it was seen last
    threshold: float
    since_s: float  # Unix time, as are the next; when it began, as far as somebody has looked
    opened_s: float
    seen_s: float
    closed_s: float | None


class Notice(Struct, frozen=True):
    """A message about an incident."""

    event: str
    incident: Incident
    created_s: float
    tries: int  # times it was given out for delivery


class Seen(Struct, frozen=True):
    """What a round has changed."""

    opened: tuple[Incident, ...] = ()
    closed: tuple[Incident, ...] = ()
    refused: int = 0  # messages that found no room


class Vitals(Struct, frozen=True):
    """What the database says of the whole installation."""

    dead_letters: int  # at most LETTERS_MAX
    workers: int
    budgets: dict[tuple[str, str], int]  # scope, "warned" or "spent"
    open: dict[str, int]  # incidents by name


class Incidents:
    """Part of an open ledger, as `ledger.incidents`."""

    def __init__(
        self, reader: Reader, write: Write, clock: Clock, waiting_max: int = WAITING_MAX
    ) -> None:
        """At most `waiting_max` messages wait to be delivered."""
        self._waiting_max = waiting_max
        self._reader = reader
        self._write = write
        self._clock = clock
        self._new_id = ids.sequence("inc_")

    async def seen(self, found: Sequence[Finding], quiet_s: float, *, tells: bool) -> Seen:
        """These are open now, and those that nobody has seen for `quiet_s` are closed.

        With `quiet_s` infinite none is. With `tells` there is somebody to send messages to. Raises
        LedgerUnavailable and Overloaded.
        """
        now_s = self._clock.unix_s()
        # In one order, or processes that write at once would wait for each other's rows.
        ordered = sorted(found, key=lambda one: (one.name, one.subject))
        rows = [self._row(one, now_s) for one in ordered]
        room = self._waiting_max if tells else 0
        return await self._write(lambda db: _seen(db, rows, now_s - quiet_s, (now_s, room)))

    async def listed(
        self, limit: int, state: str = "", name: str = "", before: str = ""
    ) -> list[Incident]:
        """Incidents, the newest first, after the one with the id `before`. `state`: open, closed or ""."""
        asked = {"limit": min(limit, LIST_MAX), "state": state, "name": name}
        return await self._reader.run(lambda db: _listed(db, asked, before))

    async def vitals(self) -> Vitals:
        """What rules and metrics ask the database for. Raises LedgerUnavailable and Overloaded."""
        now_s = self._clock.unix_s()
        return await self._reader.run(lambda db: _vitals(db, now_s))

    # --- The outbox ------------------------------------------------------------------------------

    async def due_notices(self, now_s: float, limit: int) -> list[Notice]:
        """Messages to deliver now. Nobody else is given them within `LEASE_S`."""
        span = {
            "now_s": now_s,
            "lease_until_s": now_s + LEASE_S,
            "never_s": NEVER_S,
            "limit": min(limit, DUE_MAX),
        }
        return await self._write(lambda db: _due(db, span))

    async def notice_delivered(self, notice: Notice, now_s: float) -> None:
        """It is never due again."""
        row = {**_name(notice), "delivered_s": now_s}
        await self._write(lambda db: db.run(_SQL["deliver_notice"], row))

    async def notice_failed(self, notice: Notice, next_s: float) -> None:
        """It is due again at a Unix time; `NEVER_S` gives it up."""
        row = {**_name(notice), "next_s": next_s}
        await self._write(lambda db: db.run(_SQL["delay_notice"], row))

    def _row(self, found: Finding, now_s: float) -> dict[str, Any]:
        return {
            "id": self._new_id(now_s),
            "name": found.name,
            "subject": found.subject,
            "severity": found.severity,
            "value": float(found.value),
            "threshold": float(found.threshold),
            "since_s": now_s - found.for_s,
            "now_s": now_s,
        }


def delete_before(database: Database, before_s: float) -> None:
    """Incidents that ended before a Unix time are gone, and so are messages from before."""
    span = {"before_s": before_s, "limit": DELETE_ROWS}
    # In this order: no message is left of an incident that is gone.
    for query in ("delete_notices", "delete_incidents"):
        while database.run(_SQL[query], span) >= DELETE_ROWS:
            pass


def _seen(
    database: Database, rows: list[dict[str, Any]], before_s: float, now: tuple[float, int]
) -> Seen:
    """`now` is Unix time and how many messages may wait; 0 where nobody is to be told."""
    now_s, most = now
    refused = 0
    with database.transaction():
        new = [row["id"] for row in rows if _is_new(database, row)]
        span = {"now_s": now_s, "before_s": max(before_s, 0.0), "limit": END_MAX}
        over = [row["id"] for row in database.rows(_SQL["close_incidents"], span)]
        for incident_id in new:
            if most and _waiting(database, most) < most:
                _add(database, incident_id, OPENED, now_s)
            elif most:
                refused += 1
        for incident_id in over:
            asked = {"incident_id": incident_id, "event": OPENED}
            if database.rows(_SQL["has_notice"], asked):  # who was not told need not be reassured
                _add(database, incident_id, CLOSED, now_s)
        opened = tuple(_read(database, incident_id) for incident_id in new)
        closed = tuple(_read(database, incident_id) for incident_id in over)
    return Seen(opened, closed, refused)


def _is_new(database: Database, row: dict[str, Any]) -> bool:
    (found,) = database.rows(_SQL["see_incident"], row)
    return bool(found["id"] == row["id"])


def _waiting(database: Database, most: int) -> int:
    asked = {"never_s": NEVER_S, "limit": most}
    return int(database.rows(_SQL["count_notices"], asked)[0]["notices"])


def _add(database: Database, incident_id: str, event: str, now_s: float) -> None:
    row = {"incident_id": incident_id, "event": event, "created_s": now_s}
    database.run(_SQL["add_notice"], row)


def _due(database: Database, span: dict[str, Any]) -> list[Notice]:
    rows = database.rows(_SQL["take_due_notices"], span)
    return [
        Notice(row["event"], _read(database, row["incident_id"]), row["created_s"], row["tries"])
        for row in sorted(rows, key=lambda row: row["created_s"])
    ]


def _read(database: Database, incident_id: str) -> Incident:
    (row,) = database.rows(_SQL["read_incident"], {"id": incident_id})
    return msgspec.convert(row, Incident, strict=False)


def _listed(database: Database, asked: dict[str, Any], before: str) -> list[Incident]:
    last = database.rows(_SQL["read_incident"], {"id": before}) if before else []
    before_s, before_id = (last[0]["opened_s"], last[0]["id"]) if last else _FIRST
    span = {**asked, "before_s": before_s, "before_id": before_id}
    return msgspec.convert(database.rows(_SQL["list_incidents"], span), list[Incident])


def _vitals(database: Database, now_s: float) -> Vitals:
    letters = database.rows(_SQL["count_dead_letters"], {"limit": LETTERS_MAX})[0]["jobs"]
    workers = database.rows(_SQL["count_workers"], {"now_s": now_s})[0]["workers"]
    starts = {f"{name}_s": period.start_s(name, now_s) for name in ("day", "week", "month")}
    reached = database.rows(_SQL["budgets_reached"], starts)
    known = database.rows(_SQL["open_incidents"])
    return Vitals(
        letters,
        workers,
        {(row["scope"], "spent" if row["spent"] else "warned"): row["budgets"] for row in reached},
        {row["name"]: row["incidents"] for row in known},
    )


def _name(notice: Notice) -> dict[str, Any]:
    return {"incident_id": notice.incident.id, "event": notice.event}
