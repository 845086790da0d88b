"""Jobs are changed from outside: cancelled, replayed, deleted. Rule: a final state is left by a replay only.

The caller has a transaction. Another owner's job is as unknown as one that never was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill.core.errors import NotFound
from gatemill.core.job import FINAL
from gatemill.ledger import queries
from gatemill.ledger.jobs.ended import cancel_parts, ended
from gatemill.ledger.jobs.rows import job_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from gatemill.core.errors import GatemillError
    from gatemill.core.job import Job
    from gatemill.ledger.database import Database

_SQL = queries.load("jobs_end")
_READ = queries.load("jobs")["read_job"]
_LOCK = _SQL["lock_job"]
_END = _SQL["end_job"]
_FLAG = _SQL["flag_job"]
_REPLAY = _SQL["replay_job"]
_REPLAY_PARTS = _SQL["replay_parts"]
_COUNT_PARTS = _SQL["count_open_parts"]
_ARGS = _SQL["replace_args"]
_CLEAR = _SQL["clear_data"]
_PART_IDS = _SQL["list_part_ids"]
_DELETE_STEPS = _SQL["delete_steps"]
_DELETE_EVENTS = _SQL["delete_events"]
_DELETE = (
    _DELETE_STEPS,
    _DELETE_EVENTS,
    _SQL["delete_attempts"],
    _SQL["delete_data"],
    _SQL["delete_job"],
)
REPLAYED_KINDS = frozenset(("webhook",))  # also from other final states: a notification sent again


class Replay(Struct, frozen=True):
    """How a job begins again; None leaves a value as it is."""

    args: bytes | None = None
    priority: int | None = None


def cancel(database: Database, job_id: str, owner: str | None, now_s: float) -> Job | GatemillError:
    """The job, which has ended, or runs and was told to stop."""
    row = _locked(database, job_id, owner)
    if row is None:
        return _unknown()
    if row["state"] in FINAL:
        return job_of(row)
    if row["state"] == "running":
        return job_of(database.rows(_FLAG, {"id": job_id})[0])
    last = {**row, "state": "cancelled", "error": None, "now_s": now_s}
    job = job_of(database.rows(_END, last)[0])
    ended(database, job, None, now_s)
    # What follows may have counted its parts down.
    return job_of(database.rows(_READ, {"id": job_id})[0])


def cancel_parts_of(database: Database, parent_id: str, now_s: float) -> int:
    """The number of parts that have ended now, or that run and were told to stop."""
    database.rows(_LOCK, {"id": parent_id})
    return cancel_parts(database, parent_id, now_s)


def replay(
    database: Database, job_id: str, owner: str | None, how: Replay, now_s: float
) -> bool | GatemillError:
    """The job begins again, with its steps, and so do those of its parts that did not succeed.

    With other arguments it begins from nothing. False: it is no dead letter, or no more, or a part.
    """
    row = _locked(database, job_id, owner)
    if row is None:
        return _unknown()
    whence = FINAL if row["kind"] in REPLAYED_KINDS else {"dead"}
    if row["state"] not in whence or row["parent_id"]:
        return False
    parts, open_parts = row["parts"], 0
    if how.args is not None:
        database.run(_ARGS, {"job_id": job_id, "args": how.args})
        database.run(_DELETE_STEPS, {"job_id": job_id})
        _delete_parts(database, job_id)
        parts = 0
    elif parts:
        database.rows(_REPLAY_PARTS, {"parent_id": job_id, "now_s": now_s})
        open_parts = database.rows(_COUNT_PARTS, {"parent_id": job_id})[0]["jobs"]
    database.run(_CLEAR, {"job_id": job_id})
    database.run(_DELETE_EVENTS, {"job_id": job_id})
    changed = {
        "id": job_id,
        "state": "scheduled" if open_parts else "queued",
        "priority": row["priority"] if how.priority is None else how.priority,
        "parts": parts,
        "parts_open": open_parts,
        "now_s": now_s,
    }
    database.rows(_REPLAY, changed)
    return True


def remove(
    database: Database, job_id: str, owner: str | None, states: Collection[str]
) -> bool | GatemillError:
    """The job is gone, with all that belongs to it; False when it is in none of the states, or a part."""
    row = _locked(database, job_id, owner)
    if row is None:
        return _unknown()
    if row["state"] not in states or row["parent_id"]:
        return False
    delete(database, [job_id])
    return True


def delete(database: Database, job_ids: Iterable[str]) -> None:
    """These jobs are gone, with all that belongs to them, also their parts."""
    for job_id in job_ids:
        _delete_parts(database, job_id)
        for query in _DELETE:
            database.run(query, {"job_id": job_id})


def _delete_parts(database: Database, parent_id: str) -> None:
    delete(database, [row["id"] for row in database.rows(_PART_IDS, {"parent_id": parent_id})])


def _locked(database: Database, job_id: str, owner: str | None) -> dict[str, Any] | None:
    found = database.rows(_READ, {"id": job_id})
    if not found or owner not in {None, found[0]["owner"]}:
        return None
    if found[0]["parent_id"]:  # parents before parts: one order of locks for all
        database.rows(_LOCK, {"id": found[0]["parent_id"]})
    rows = database.rows(_LOCK, {"id": job_id})
    return rows[0] if rows else None


def _unknown() -> NotFound:
    return NotFound("There is no job with this id.", param="id")
