"""Jobs are accepted, all of a request or none. Rule: nothing refused leaves a row.

How much has not ended is counted now and then and kept up in between, because a count of a million
rows takes tens of milliseconds. Other processes' jobs are seen with the next count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.core.errors import IdempotencyKeyReused, Overloaded, RateLimited
from gatemill.ledger import queries
from gatemill.ledger.jobs.inserting import insert_all, waiting
from gatemill.ledger.jobs.rows import Accepted, job_of

if TYPE_CHECKING:
    from gatemill.core.errors import GatemillError
    from gatemill.core.job import Job, NewJob
    from gatemill.ledger.database import Database

COUNT_S = 2.0  # a count is believed for so long
RECOUNT_S = 0.25  # a count that would refuse somebody is believed for so long, if it was dear
DEAR_JOBS = 5_000  # to count so many takes about a millisecond
OWNERS_MAX = 10_000  # whose counts are remembered; then all are counted anew

_SQL = queries.load("jobs")
_READ = _SQL["read_job"]
_READ_UNIQUE = _SQL["read_unique"]
_COUNT_OWNED = _SQL["count_owned"]
_COUNT_OPEN = _SQL["count_open"]
_ALL = ""  # in place of an owner


class Room(Struct, frozen=True):
    """Most jobs that may not have ended."""

    owner_max: int
    total_max: int


class AlreadyThereError(Exception):
    """Another process inserted one of the jobs at this moment; the next try finds it."""


class _Count(Struct):
    jobs: int
    at_s: float


class Counts:
    """How much has not ended. Belongs to the writer's thread."""

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}

    def full(self, database: Database, owner: str, limit: int, more: int, now_s: float) -> bool:
        """Whether `more` jobs of `owner` would exceed the limit; otherwise they are counted."""
        count = self._counts.get(owner)
        if count is None or not 0 <= now_s - count.at_s < COUNT_S:
            count = self._count(database, owner, limit, now_s)
        if count.jobs + more > limit:
            if count.jobs > DEAR_JOBS and now_s - count.at_s < RECOUNT_S:
                return True
            count = self._count(database, owner, limit, now_s)
            if count.jobs + more > limit:
                return True
        count.jobs += more
        return False

    def _count(self, database: Database, owner: str, limit: int, now_s: float) -> _Count:
        query = _COUNT_OPEN if owner == _ALL else _COUNT_OWNED
        found = database.rows(query, {"owner": owner, "most": limit})[0]["jobs"]
        if len(self._counts) >= OWNERS_MAX:
            self._counts.clear()
        self._counts[owner] = count = _Count(found, now_s)
        return count


class Accepting(Struct, frozen=True):
    """Jobs of one request, and what they need."""

    new: Sequence[NewJob]
    room: Room
    again: bool = False  # they may be in the ledger, by a commit that failed to say so


def accept(
    database: Database, counts: Counts, asked: Accepting, now_s: float
) -> list[Accepted] | GatemillError:
    """The jobs, in their order; a refusal changed nothing. Raises AlreadyThereError."""
    there: dict[tuple[str, str], tuple[Job, str]] = {}  # by owner and unique key; with fingerprints
    found: list[Accepted] = []
    fresh: list[NewJob] = []
    for new in asked.new:
        name = new.owner, new.unique_key
        if new.unique_key and name not in there:
            there.update(_unique(database, name))
        if new.unique_key and name in there:
            job, fingerprint = there[name]
            if fingerprint != new.fingerprint:
                return IdempotencyKeyReused(
                    "This idempotency key was used for another job. Use a new key for each job.",
                    param="idempotency_key",
                )
            found.append(Accepted(job, created=False))
            continue
        kept = _kept(database, new) if asked.again else None
        if kept is None:
            fresh.append(new)
        job = kept or waiting(new, now_s)
        there[name] = job, new.fingerprint
        found.append(Accepted(job, created=True))
    refusal = _no_room(database, counts, fresh, asked.room, now_s)
    if refusal is None and fresh and not insert_all(database, fresh, now_s):
        raise AlreadyThereError
    return refusal or found


def _kept(database: Database, new: NewJob) -> Job | None:
    rows = database.rows(_READ, {"id": new.id})
    return job_of(rows[0]) if rows and rows[0]["owner"] == new.owner else None


def _unique(database: Database, name: tuple[str, str]) -> dict[tuple[str, str], tuple[Job, str]]:
    rows = database.rows(_READ_UNIQUE, {"owner": name[0], "unique_key": name[1]})
    return {name: (job_of(rows[0]), rows[0]["fingerprint"])} if rows else {}


def _no_room(
    database: Database, counts: Counts, new: Sequence[NewJob], room: Room, now_s: float
) -> GatemillError | None:
    owners: dict[str, int] = {}
    for each in new:
        owners[each.owner] = owners.get(each.owner, 0) + 1
    for owner, more in owners.items():
        if counts.full(database, owner, room.owner_max, more, now_s):
            return RateLimited(
                f"{room.owner_max} of your jobs have not ended, the most allowed. Wait for some, or"
                " cancel them.",
                retry_after_s=10.0,
            )
    if new and counts.full(database, _ALL, room.total_max, len(new), now_s):
        return Overloaded(
            "Too many jobs wait to be run. Try again later.",
            retry_after_s=10.0,
        )
    return None
