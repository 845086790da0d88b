"""What all workers together may do in a queue. Rule: whoever starts a job under a limit locks its row first.

A rate is a bucket of tokens: it holds what may start at once, at least one, and fills so slowly that
no span of a minute sees more starts than the limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.ledger import queries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.ledger.database import Database
    from gatemill.ledger.jobs.rows import QueueLimit

QUEUES_MAX = 1_000  # rows that are read; names come from the configuration
_MINUTE_S = 60.0

_SQL = queries.load("jobs_claim")
_ADD = _SQL["add_queue"]
_LOCK = _SQL["lock_queue"]
_FILL = _SQL["fill_queue"]
_PAUSE = _SQL["pause_queue"]
_PAUSED = _SQL["paused_queues"]
_COUNT_RUNNING = _SQL["count_running"]
_COUNT_BY_OWNER = _SQL["count_running_by_owner"]


def paused(database: Database) -> set[str]:
    """The queues that are stopped."""
    return {row["name"] for row in database.rows(_PAUSED, {"limit": QUEUES_MAX})}


def pause(database: Database, queue: str, *, stop: bool) -> None:
    """The queue starts nothing, or starts again."""
    database.run(_PAUSE, {"name": queue, "paused": stop})


def limited(limits: Mapping[str, QueueLimit], queue: str) -> QueueLimit | None:
    """The limit of a queue; None when there is none."""
    limit = limits.get(queue)
    if limit is None or all(
        each is None
        for each in (limit.running_max, limit.starts_per_minute, limit.running_max_per_owner)
    ):
        return None
    return limit


def room(database: Database, queue: str, limit: QueueLimit, free: int, now_s: float) -> int:
    """How many jobs of the queue may start now, at most `free`.

    The queue's row is locked until the transaction ends; `started` is to follow.
    """
    burst, _ = _bucket(limit)
    database.run(_ADD, {"name": queue, "tokens": burst, "filled_at": now_s})
    row = database.rows(_LOCK, {"name": queue})[0]
    if limit.starts_per_minute is not None:
        free = min(free, int(_tokens(limit, row["tokens"], row["filled_at"], now_s)))
    if limit.running_max is not None and free > 0:
        running = database.rows(_COUNT_RUNNING, {"queue": queue})[0]["jobs"]
        free = min(free, limit.running_max - running)
    return max(0, free)


def started(database: Database, queue: str, limit: QueueLimit, jobs: int, now_s: float) -> None:
    """So many jobs of the queue have started; its row is locked."""
    if limit.starts_per_minute is None or not jobs:
        return
    row = database.rows(_LOCK, {"name": queue})[0]
    tokens = _tokens(limit, row["tokens"], row["filled_at"], now_s) - jobs
    filled_at = max(now_s, row["filled_at"])
    database.run(_FILL, {"name": queue, "tokens": tokens, "filled_at": filled_at})


def running_by_owner(database: Database, queue: str) -> dict[str, int]:
    """Jobs of the queue that run, by owner."""
    return {row["owner"]: row["jobs"] for row in database.rows(_COUNT_BY_OWNER, {"queue": queue})}


def _bucket(limit: QueueLimit) -> tuple[float, float]:
    """The most tokens, and tokens in a second.

    A second's worth may start at once. In a minute that is burst + 60 s * rate < limit + 1 starts.
    """
    most = limit.starts_per_minute or 0
    burst = max(1.0, most / _MINUTE_S)
    return burst, (most - (burst - 1.0)) / _MINUTE_S


def _tokens(limit: QueueLimit, tokens: float, filled_at: float, now_s: float) -> float:
    burst, rate = _bucket(limit)
    return min(burst, tokens + max(0.0, now_s - filled_at) * rate)
