"""An attempt ends. Rule: without the claim nothing is written; with it everything, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill.core.errors import InvalidValue
from gatemill.core.job import (
    Again,
    Failed,
    Postponed,
    Released,
    Stopped,
    Succeeded,
    Waiting,
)
from gatemill.ledger import queries
from gatemill.ledger.jobs.ended import ended
from gatemill.ledger.jobs.inserting import insert_all
from gatemill.ledger.jobs.rows import job_of, stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.job import Claimed, Job, NewJob, Outcome, Problem, Progress
    from gatemill.ledger.database import Database

PARTS_MAX = 100_000  # of one job
JOB_TIMEOUT = "job_timeout"  # code of an attempt that took too long

_SQL = queries.load("jobs_end")
_SUCCEED = _SQL["succeed_job"]
_LOCK = _SQL["lock_claimed"]
_LOCK_JOB = _SQL["lock_job"]
_CHECK = _SQL["check_claimed"]
_END = _SQL["end_job"]
_PUT_BACK = _SQL["put_back"]
_RESULT = _SQL["keep_result"]
_PROGRESS = _SQL["keep_progress"]
_ATTEMPT = _SQL["add_attempt"]
_STEP = _SQL["keep_step"]
_LAST_EVENT = _SQL["last_event"]
_EVENT = _SQL["add_event"]


class Back(Struct, frozen=True):
    """The job waits for its next start."""

    state: str
    run_at: float
    outcome: str  # of the attempt
    error: Problem | None = None
    counts: bool = False  # the attempt
    parts: tuple[NewJob, ...] = ()


class End(Struct, frozen=True):
    """The job has ended, and not well."""

    state: str
    outcome: str  # of the attempt
    error: Problem | None = None


def finish(
    database: Database,
    claimed: Claimed,
    outcome: Outcome,
    progress: Progress | None,
    now_s: float,
) -> bool:
    """The outcome is in the ledger; False when the claim does not hold, and nothing was written."""
    if claimed.job.parent_id:  # parents before parts: one order of locks for all
        database.rows(_LOCK_JOB, {"id": claimed.job.parent_id})
    fence = {"id": claimed.job.id, "claim": claimed.claim, "now_s": now_s}
    result = outcome.result if isinstance(outcome, Succeeded) else None
    rows = database.rows(_LOCK if result is None else _SUCCEED, fence)
    if not rows:
        return False
    row = rows[0]
    if progress is not None:
        named = {"job_id": row["id"], "claim": claimed.claim, "progress": stored(progress)}
        database.run(_PROGRESS, named)
    if result is not None:
        database.run(_RESULT, {"job_id": row["id"], "result": result})
        row["worker_id"] = claimed.job.worker_id
        add_attempt(database, row, "succeeded", None, now_s)
        ended(database, job_of({**row, "worker_id": ""}), result, now_s)
        return True
    turn = _turn(row, outcome, now_s)
    if isinstance(turn, Back):
        put_back(database, row, turn, now_s)
    else:
        end(database, row, turn, now_s)
    return True


def put_back(database: Database, row: dict[str, Any], back: Back, now_s: float) -> Job:
    """The job waits for its next start; `row` is as it ran, and locked."""
    if len(back.parts) > PARTS_MAX:
        raise InvalidValue(f"A job may have {PARTS_MAX} parts at most.", param="parts")
    assert all(part.parent_id == row["id"] for part in back.parts)
    if back.parts and not insert_all(database, back.parts, now_s):
        raise InvalidValue(
            "A part of the job has the id or the unique key of another.", param="parts"
        )
    add_attempt(database, row, back.outcome, back.error, now_s)
    changed = {
        "id": row["id"],
        "state": back.state,
        "queue": row["queue"],
        "run_at": back.run_at,
        "attempt": row["attempt"] - (0 if back.counts else 1),
        "lost": row["lost"],
        "parts": len(back.parts),
        "error": stored(back.error) if back.error else row["error"],
    }
    return job_of(database.rows(_PUT_BACK, changed)[0])


def end(database: Database, row: dict[str, Any], last: End, now_s: float) -> Job:
    """The job has ended, and what follows is done; `row` is as it ran, and locked."""
    add_attempt(database, row, last.outcome, last.error, now_s)
    changed = {
        "id": row["id"],
        "state": last.state,
        "attempt": row["attempt"],
        "lost": row["lost"],
        "error": stored(last.error),
        "now_s": now_s,
    }
    job = job_of(database.rows(_END, changed)[0])
    ended(database, job, None, now_s)
    return job


def add_attempt(
    database: Database, row: dict[str, Any], outcome: str, error: Problem | None, now_s: float
) -> None:
    """The attempt is in the history of its job; `row` is as it ran."""
    attempt = {
        "job_id": row["id"],
        "number": row["starts"],
        "worker_id": row["worker_id"],
        "started_at": row["started_at"],
        "ended_at": now_s,
        "outcome": outcome,
        "error": stored(error),
    }
    database.run(_ATTEMPT, attempt)


def keep_step(database: Database, claimed: Claimed, name: str, value: bytes) -> bool:
    """What the job did is kept; False when the claim does not hold."""
    if not _holds(database, claimed):
        return False
    database.run(_STEP, {"job_id": claimed.job.id, "name": name, "value": value})
    return True


def append_events(database: Database, claimed: Claimed, events: Sequence[bytes]) -> bool:
    """What the job said is kept, after all before; False when the claim does not hold."""
    if not _holds(database, claimed):
        return False
    job_id = claimed.job.id
    last = database.rows(_LAST_EVENT, {"job_id": job_id})[0]["number"]
    rows = [(job_id, number, event) for number, event in enumerate(events, last + 1)]
    database.run_many(_EVENT, rows)
    return True


def _holds(database: Database, claimed: Claimed) -> bool:
    return bool(database.rows(_CHECK, {"id": claimed.job.id, "claim": claimed.claim}))


def _turn(row: dict[str, Any], outcome: Outcome, now_s: float) -> Back | End:
    if row["cancel"]:  # whoever asked for it wants no other attempt and no dead letter
        return End("cancelled", "cancelled")
    turn: Back | End
    match outcome:
        case Failed(error):
            turn = End("dead", _word("failed", error), error)
        case Again(error, run_at):
            turn = Back(_state(run_at, now_s), run_at, _word("retried", error), error, counts=True)
        case Postponed(error, run_at):
            turn = Back(_state(run_at, now_s), run_at, "postponed", error)
        case Waiting(parts):
            state = "scheduled" if parts else "queued"
            turn = Back(state, row["run_at"], "waiting", parts=parts)
        case Released():
            turn = Back("queued", row["run_at"], "released")
        case _:
            assert isinstance(outcome, Stopped)
            turn = End("cancelled", "cancelled")
    return turn


def _word(word: str, error: Problem) -> str:
    return "timeout" if error.code == JOB_TIMEOUT else word


def _state(run_at: float, now_s: float) -> str:
    return "scheduled" if run_at > now_s else "queued"
