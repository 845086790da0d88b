"""Usage rows in the database. Rule: an attempt has one row, and what is added is in the sums at once.

A row is written once. Two things may still happen to it: an unsettled one is replaced by the true
one, or settled as it is; and all of them expire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.call import UsageRow
from gatemill.core.errors import InvalidValue
from gatemill.ledger import queries, rollups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.ledger.database import Database

TOTALS_MAX = 10_000  # lines of one report
RECENT_MAX = 10_000
DELETE_ROWS = 5_000  # of one transaction, so that commits of new rows wait at most milliseconds
SETTLE_ROWS = 5_000
# Younger rows cannot have been deleted, so nobody has to look. Nothing that is younger may be.
LATE_S = 3_600.0

_SQL = queries.load("usage")
_INSERT = _SQL["insert_usage"]
_TAKE_UNSETTLED = _SQL["take_unsettled_usage"]
_SETTLE = _SQL["settle_usage"]
_RECENT = _SQL["recent_usage"]
_REQUEST = _SQL["request_usage"]
_TOTAL = _SQL["total_usage"]
_DELETE = _SQL["delete_usage"]
_DELETE_MINUTES = _SQL["delete_minutes"]
_DELETE_HOURS = _SQL["delete_hours"]
_DELETE_LATENCIES = _SQL["delete_latencies"]
_KEEP = _SQL["keep_usage"]
_READ_KEPT = _SQL["read_kept"]

_astuple = msgspec.structs.astuple
_ATTEMPT_ID = UsageRow.__struct_fields__.index("attempt_id")
_UNSETTLED = UsageRow.__struct_fields__.index("unsettled")


class Filters(Struct, frozen=True):
    """Which rows a report is about; "" lets all of them pass."""

    key: str = ""
    user: str = ""
    team: str = ""
    model: str = ""
    provider: str = ""


ALL = Filters()


class Total(Struct, frozen=True):
    """What one key spent on one model over a span of time."""

    key_id: str
    model: str
    requests: int
    attempts: int
    failed: int  # attempts
    unpriced: int  # attempts whose cost is unknown and not in the sum
    prompt_tokens: int
    cache_read_tokens: int  # of these
    completion_tokens: int
    cost_microusd: int


class _AlreadyThereError(Exception):
    """A batch holds attempts that the database has."""


def insert(database: Database, rows: Sequence[UsageRow], now_s: float) -> list[UsageRow]:
    """All rows are in the database and in the sums, except those returned, which it refuses for good.

    A settled row replaces an unsettled one of the same attempt; otherwise the first one stays.
    Refused is what fits no column, and what is so old that it may have been counted and deleted.
    One transaction, unless a row is refused: then more of them, so that it cannot hold up the rest.
    """
    if min([row.at for row in rows]) < now_s - LATE_S:
        since_s = kept_since_s(database)
        late = [row for row in rows if row.at < since_s]
        if late:
            young = [row for row in rows if row.at >= since_s]
            return late + (_insert(database, young, now_s) if young else [])
    return _insert(database, rows, now_s)


def settle(database: Database, written_before_s: float) -> int:
    """The number of attempts, written unsettled before a moment, that are now settled as they are."""
    return database.run(_SETTLE, {"written_before_s": written_before_s, "limit": SETTLE_ROWS})


def recent(database: Database, limit: int) -> list[UsageRow]:
    """The newest attempts first, at most `RECENT_MAX`."""
    return _rows(database.rows(_RECENT, {"limit": min(limit, RECENT_MAX)}))


def of_request(database: Database, request_id: str) -> list[UsageRow]:
    """The attempts of one request in their order; none for an unknown id."""
    ids = {name: f"{request_id}-{number}" for number, name in enumerate(_REQUEST.params, 1)}
    return _rows(database.rows(_REQUEST, ids))


def totals(database: Database, since_s: float, until_s: float) -> list[Total]:
    """Sums per key and model of requests that arrived in [since, until), the dearest first."""
    span = {"since_s": since_s, "until_s": until_s, "limit": TOTALS_MAX}
    return msgspec.convert(database.rows(_TOTAL, span), list[Total])


def spent(database: Database, scope: str, scope_id: str, since_s: float, until_s: float) -> int:
    """Micro-dollars of requests that arrived in [since, until), to whole minutes outwards.

    `scope` is "key", "user", "team" or "model". Unknown costs count as 0.
    """
    query = _SQL[f"{scope}_spent"]
    total = 0
    for span_s, start_s, end_s in rollups.spans(since_s, until_s):
        span = {"id": scope_id, "span_s": span_s, "since_s": start_s, "until_s": end_s}
        total += int(database.rows(query, span)[0]["cost_microusd"])
    return total


def kept_since_s(database: Database) -> int:
    """Rows and minutes before this moment were deleted; 0 when none ever were."""
    return int(database.rows(_READ_KEPT)[0]["since_s"])


def outward(database: Database, since_s: float, until_s: float) -> tuple[float, float]:
    """[since, until), and where there are no minutes any more, the whole of its days."""
    kept_s = kept_since_s(database)
    if since_s < kept_s:
        since_s -= since_s % rollups.DAY_S
        if until_s < kept_s:
            until_s += -until_s % rollups.DAY_S
    return since_s, until_s


def keep_since(database: Database, since_s: int) -> None:
    """From now on, rows from before a midnight are refused: those that are there may be deleted."""
    assert since_s % rollups.DAY_S == 0
    database.run(_KEEP, {"since_s": since_s})


def delete_rows(database: Database, before_s: float) -> int:
    """The number of attempts deleted, of requests before a moment; fewer than `DELETE_ROWS`: it was all."""
    with database.transaction():
        return database.run(_DELETE, {"before_s": before_s, "limit": DELETE_ROWS})


def delete_minutes(database: Database, before_s: int) -> int:
    """The number of sums deleted, of minutes and hours before a moment, some at a time; 0: all are."""
    before = {"before_s": before_s}
    with database.transaction():
        deleted = database.run(_DELETE_MINUTES, before) + database.run(_DELETE_HOURS, before)
        for span_s in (rollups.MINUTE_S, rollups.HOUR_S):
            deleted += database.run(_DELETE_LATENCIES, before | {"span_s": span_s})
    return deleted


def _insert(database: Database, rows: Sequence[UsageRow], now_s: float) -> list[UsageRow]:
    try:
        _add(database, [(*_astuple(row), now_s) for row in rows])
    except InvalidValue:
        if len(rows) == 1:
            return list(rows)
        middle = len(rows) // 2
        refused = _insert(database, rows[:middle], now_s)
        return refused + _insert(database, rows[middle:], now_s)
    return []


def _add(database: Database, values: list[tuple[Any, ...]]) -> None:
    try:
        _add_new(database, values)
    except _AlreadyThereError:
        # After a crash only: which of them are new is found out one by one.
        with database.transaction():
            _add_singly(database, values)


def _add_new(database: Database, values: list[tuple[Any, ...]]) -> None:
    with database.transaction():
        if database.run_many(_INSERT, values) < len(values):
            raise _AlreadyThereError  # which also takes the others out again
        rollups.store(database, rollups.minutes(values))
        rollups.store_latencies(database, rollups.latencies(values))


def _add_singly(database: Database, values: list[tuple[Any, ...]]) -> None:
    added: list[tuple[Any, ...]] = []
    removed: list[tuple[Any, ...]] = []
    for each in values:
        if database.run_many(_INSERT, [each]):
            added.append(each)
            continue
        if each[_UNSETTLED]:
            continue
        replaced = database.rows(_TAKE_UNSETTLED, {"attempt_id": each[_ATTEMPT_ID]})
        if replaced:
            removed.append(tuple(replaced[0].values()))
            database.run_many(_INSERT, [each])
            added.append(each)
    sums = rollups.subtracted(rollups.minutes(added), rollups.minutes(removed))
    if sums:
        rollups.store(database, sums)
        lines = rollups.latencies(added) + rollups.latencies(removed, -1)
        rollups.store_latencies(database, lines)


def _rows(found: list[dict[str, Any]]) -> list[UsageRow]:
    return msgspec.convert([list(row.values()) for row in found], list[UsageRow], strict=False)
