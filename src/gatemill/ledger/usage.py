"""Usage rows in the database. Rule: rows are added and expire; no row is ever changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gatemill.core.call import UsageRow
from gatemill.core.errors import InvalidValue
from gatemill.ledger import queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.ledger.sqlite import Database

TOTALS_MAX = 10_000  # lines of one report
RECENT_MAX = 10_000
DELETE_ROWS = 5_000  # of one transaction, so that commits of new rows wait at most milliseconds

_SQL = queries.load("usage")
_INSERT = _SQL["insert_usage"]
_RECENT = _SQL["recent_usage"]
_TOTAL = _SQL["total_usage"]
_DELETE = _SQL["delete_usage"]

_astuple = msgspec.structs.astuple


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


def insert(database: Database, rows: Sequence[UsageRow]) -> list[UsageRow]:
    """All rows are in the database, except those returned, which it refuses for good.

    A row that is there already is ignored. One transaction; one per row when a row is refused, so
    that a single bad row cannot hold up the others.
    """
    try:
        with database.transaction():
            database.run_many(_INSERT, [_astuple(row) for row in rows])
    except InvalidValue:
        if len(rows) == 1:
            return list(rows)
        return [refused for row in rows for refused in insert(database, [row])]
    return []


def recent(database: Database, limit: int) -> list[UsageRow]:
    """The newest attempts first, at most `RECENT_MAX`."""
    found = database.rows(_RECENT, {"limit": min(limit, RECENT_MAX)})
    return msgspec.convert([list(row.values()) for row in found], list[UsageRow], strict=False)


def totals(database: Database, since_s: float, until_s: float) -> list[Total]:
    """Sums per key and model of attempts begun in [since, until), the dearest first."""
    span = {"since_s": since_s, "until_s": until_s, "limit": TOTALS_MAX}
    return msgspec.convert(database.rows(_TOTAL, span), list[Total])


def delete_before(database: Database, before_s: float) -> int:
    """The number of deleted attempts begun before a moment; fewer than `DELETE_ROWS`: it was all."""
    with database.transaction():
        return database.run(_DELETE, {"before_s": before_s, "limit": DELETE_ROWS})
