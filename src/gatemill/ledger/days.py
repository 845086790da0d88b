"""What one key, user or team used by day. Rule: from the sums of whole days, through an index: never from rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gatemill.ledger import queries, rollups

if TYPE_CHECKING:
    from gatemill.ledger.database import Database

LINES_MAX = 10_000
_SQL = queries.load("days")


class Day(Struct, frozen=True):
    """One model on one day."""

    start_s: int  # midnight, UTC
    model: str
    requests: int
    attempts: int
    failed: int  # attempts
    prompt_tokens: int
    completion_tokens: int
    cost_microusd: int
    unpriced: int  # attempts whose cost is unknown and not in the sum


def of(database: Database, scope: str, scope_id: str, since_s: float) -> list[Day]:
    """The days from the one that holds `since_s`; `scope` is "key", "user" or "team"."""
    said = {"id": scope_id, "since_s": rollups.midnight_s(since_s), "limit": LINES_MAX}
    return msgspec.convert(database.rows(_SQL[f"days_of_{scope}"], said), list[Day], strict=False)
