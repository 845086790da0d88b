"""Workers take jobs. Rule: a job goes to one worker, the best first, and within the limits of its queue.

A claim is one statement that picks and marks; in Postgres it passes over rows that another worker
is just taking. Where there is a limit, the queue's row is locked first and limits hold exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill.core.job import QUARANTINE, Claimed, Want
from gatemill.ledger import queries
from gatemill.ledger.jobs import lanes
from gatemill.ledger.jobs.rows import QueueLimit, job_of

if TYPE_CHECKING:
    from gatemill.ledger.database import Database

SUSPECTS_MAX = 20  # jobs in quarantine that run together: one of them killed their workers
SUSPECT_LOST = 2  # deaths; with more a job runs alone
PAGE_JOBS = 500
# Jobs looked at for one claim, where each owner has a limit. What lies behind them is looked at by the
# next claims, until the end of the queue was reached.
LOOKED_AT_MAX = 10_000

_SQL = queries.load("jobs_claim")
_BEST = _SQL["claim_best"]
_OLDEST = _SQL["claim_oldest"]
_LOST = _SQL["claim_lost"]
_THIS = _SQL["claim_this"]
_READ_CLAIMED = _SQL["read_claimed"]
_CANDIDATES = _SQL["list_candidates"]
_OLDEST_CANDIDATES = _SQL["list_oldest_candidates"]
_READ = queries.load("jobs")["read_job"]

Place = tuple[int, float, str]  # in the order of a queue: priority, time, id
_FRONT: Place = (-1, 0.0, "")


class Claim(Struct, frozen=True):
    """Who takes jobs, and by which rules."""

    worker_id: str
    token: str
    limits: Mapping[str, QueueLimit]
    now_s: float
    favour_oldest: bool = False

    @property
    def marks(self) -> dict[str, Any]:
        """What every claiming statement is given."""
        return {"worker_id": self.worker_id, "claim": self.token, "now_s": self.now_s}


class Claims:
    """Where the last claims stopped looking. Belongs to the writer's thread."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}  # by queue


def claim(database: Database, claims: Claims, wants: Sequence[Want], by: Claim) -> list[Claimed]:
    """Jobs for these wants, the best of each first; they run now."""
    if found := _again(database, by):
        return found
    rows: list[dict[str, Any]] = []
    stopped = lanes.paused(database)
    for want in sorted(wants, key=lambda want: want.queue):  # one order of locks for all
        if want.free < 1 or want.queue in stopped or not want.priorities:
            continue
        limit = lanes.limited(by.limits, want.queue)
        if limit is None:
            rows += _take(database, want, want.free, by)
            continue
        free = lanes.room(database, want.queue, limit, want.free, by.now_s)
        if not free:
            continue
        if limit.running_max_per_owner is None:
            taken = _take(database, want, free, by)
        else:
            wanted = Want(want.queue, free, want.priorities)
            taken = _take_fairly(database, claims, wanted, limit.running_max_per_owner, by)
        lanes.started(database, want.queue, limit, len(taken), by.now_s)
        rows += taken
    return [_claimed(row, by) for row in rows]


def claim_one(database: Database, job_id: str, by: Claim) -> Claimed | None:
    """This job, which runs now, if it may start."""
    if found := _again(database, by):
        return found[0]
    rows = database.rows(_READ, {"id": job_id})
    if not rows or rows[0]["state"] not in {"queued", "scheduled"}:
        return None
    queue, owner = rows[0]["queue"], rows[0]["owner"]
    if queue == QUARANTINE or queue in lanes.paused(database):
        return None
    limit = lanes.limited(by.limits, queue)
    if limit is not None and not _has_room(database, queue, owner, limit, by.now_s):
        return None
    started = database.rows(_THIS, {"id": job_id, **by.marks})
    if limit is not None:
        lanes.started(database, queue, limit, len(started), by.now_s)
    return _claimed(started[0], by) if started else None


def claim_quarantined(database: Database, by: Claim) -> list[Claimed]:
    """Jobs whose workers died: some that may be innocent together, or else one alone."""
    if found := _again(database, by):
        return found
    if QUARANTINE in lanes.paused(database):
        return []
    some = {"lost_min": 0, "lost_max": SUSPECT_LOST, "limit": SUSPECTS_MAX}
    rows = database.rows(_LOST, {**some, **by.marks})
    if not rows:
        one = {"lost_min": SUSPECT_LOST + 1, "lost_max": 2**31, "limit": 1}
        rows = database.rows(_LOST, {**one, **by.marks})
    return [_claimed(row, by) for row in rows]


def _again(database: Database, by: Claim) -> list[Claimed]:
    # A claim that was committed, although its worker was told of a failure.
    rows = database.rows(_READ_CLAIMED, {"worker_id": by.worker_id, "claim": by.token})
    return [_claimed(row, by) for row in sorted(rows, key=_place)]


def _take(database: Database, want: Want, free: int, by: Claim) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    asked = {"queue": want.queue, **_priorities(want), **by.marks}
    if by.favour_oldest:
        rows = database.rows(_OLDEST, {**asked, "limit": 1})
    if free > len(rows):
        best = database.rows(_BEST, {**asked, "limit": free - len(rows)})
        rows += sorted(best, key=_place)
    return rows


def _take_fairly(
    database: Database, claims: Claims, want: Want, owner_max: int, by: Claim
) -> list[dict[str, Any]]:
    """As `_take`, and no owner has more than `owner_max` jobs that run. The queue's row is locked."""
    running = lanes.running_by_owner(database, want.queue)
    asked = {"queue": want.queue, **_priorities(want)}
    taken: list[dict[str, Any]] = []

    def look(candidates: list[dict[str, Any]], free: int) -> None:
        for each in candidates:
            if len(taken) >= free:
                return
            if running.get(each["owner"], 0) < owner_max:
                rows = database.rows(_THIS, {"id": each["id"], **by.marks})
                taken.extend(rows)
                running[each["owner"]] = running.get(each["owner"], 0) + len(rows)

    if by.favour_oldest:
        look(database.rows(_OLDEST_CANDIDATES, {**asked, "limit": PAGE_JOBS}), 1)
    after = _FRONT
    for number in range(LOOKED_AT_MAX // PAGE_JOBS):
        place = dict(zip(("after_priority", "after_run_at", "after_id"), after, strict=True))
        page = database.rows(_CANDIDATES, {**asked, **place, "limit": PAGE_JOBS})
        look(page, want.free)
        if len(taken) >= want.free:
            break
        if len(page) < PAGE_JOBS:
            claims.places.pop(want.queue, None)
            break
        # After the front, on from where the last claim stopped.
        after = _place(page[-1])
        if number == 0:
            after = max(after, claims.places.get(want.queue, _FRONT))
        else:
            claims.places[want.queue] = after
    return taken


def _has_room(database: Database, queue: str, owner: str, limit: QueueLimit, now_s: float) -> bool:
    if not lanes.room(database, queue, limit, 1, now_s):
        return False
    if limit.running_max_per_owner is None:
        return True
    return lanes.running_by_owner(database, queue).get(owner, 0) < limit.running_max_per_owner


def _priorities(want: Want) -> dict[str, int]:
    wanted = set(want.priorities)
    high, middle, low = (number if number in wanted else -1 for number in range(3))
    return {
        "first": min(wanted),
        "last": max(wanted),
        "high": high,
        "middle": middle,
        "low": low,
    }


def _place(row: dict[str, Any]) -> Place:
    return row["priority"], row["run_at"], row["id"]


def _claimed(row: dict[str, Any], by: Claim) -> Claimed:
    return Claimed(job_of(row), bytes(row["args"]), by.token)
