"""What one sees of jobs. Rule: reads only, by the reader's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.core.errors import NotFound
from gatemill.core.job import Attempted
from gatemill.ledger import queries
from gatemill.ledger.jobs.lanes import QUEUES_MAX
from gatemill.ledger.jobs.rows import Depth, attempt_of, full_of, job_of, progress_of

if TYPE_CHECKING:
    from gatemill.core.job import Full, Job, Progress
    from gatemill.ledger.database import Database
    from gatemill.ledger.jobs.rows import Filter

LIST_MAX = 1_000  # jobs of one page
ATTEMPTS_MAX = 1_000  # of one job that are listed, the first ones
EVENTS_MAX = 10_000  # of one page
LAST = "~"  # sorts after every id
FOREVER_S = 1e15

_SQL = queries.load("jobs")


def full(database: Database, job_id: str, owner: str | None) -> Full:
    """One job with all that is kept of it. Raises NotFound, also for another owner's."""
    return full_of(_row(database, "read_full", job_id, owner))


def look(database: Database, job_id: str, owner: str | None) -> tuple[Job, Progress | None]:
    """One job and how far it is. Raises NotFound, also for another owner's."""
    row = _row(database, "read_look", job_id, owner)
    return job_of(row), progress_of(row["progress"])


def attempts(database: Database, job_id: str) -> list[Attempted]:
    """Every start of a job in their order; the last may be running."""
    rows = database.rows(_SQL["list_attempts"], {"job_id": job_id, "limit": ATTEMPTS_MAX})
    found = [attempt_of(row) for row in rows]
    now = database.rows(_SQL["read_job"], {"id": job_id})
    if now and now[0]["state"] == "running":
        row = now[0]
        found.append(Attempted(row["starts"], row["worker_id"], row["started_at"], None, "", None))
    return found


def listed(database: Database, wanted: Filter, limit: int, after: str) -> list[Job]:
    """Jobs, the newest first; `after` is the id of the last one of the page before."""
    asked = {
        "everybody": wanted.owner is None,
        "owner": wanted.owner or "",
        "state": wanted.state,
        "kind": wanted.kind,
        "queue": wanted.queue,
        "priority": -1 if wanted.priority is None else wanted.priority,
        "error": f'{{"code":"{wanted.error}",' if wanted.error else "",
        "created_after_s": _or(wanted.created_after_s, -FOREVER_S),
        "created_before_s": _or(wanted.created_before_s, FOREVER_S),
        "parent_id": wanted.parent_id,
        "before": after or LAST,
        "limit": min(limit, LIST_MAX),
    }
    return [job_of(row) for row in database.rows(_SQL[_list_of(wanted)], asked)]


def _list_of(wanted: Filter) -> str:
    """The list whose index leads to the fewest jobs that do not pass."""
    if wanted.parent_id:
        return "list_jobs_of_parent"
    if wanted.owner is not None:
        if wanted.state == "dead":
            return "list_dead_of_owner"
        return "list_jobs_of_owner_and_kind" if wanted.kind else "list_jobs_of_owner"
    # Of the states that most jobs end in, the kind is the rarer.
    if wanted.kind and wanted.state in ("", "succeeded", "cancelled", "expired"):
        return "list_jobs_of_kind"
    return "list_jobs_in_state" if wanted.state else "list_jobs"


def parts(database: Database, job_id: str, limit: int, after: int) -> list[Full]:
    """The parts of a job in their order, after a number."""
    asked = {"parent_id": job_id, "after": after, "limit": min(limit, LIST_MAX)}
    return [full_of(row) for row in database.rows(_SQL["list_parts"], asked)]


def cost(database: Database, job_id: str) -> int | None:
    """Micro-dollars of a job and its parts; None when some price is unknown."""
    found: int | None = database.rows(_SQL["job_cost"], {"id": job_id})[0]["cost_microusd"]
    return found


def events(database: Database, job_id: str, after: int, limit: int) -> list[tuple[int, bytes]]:
    """What a job said after a number, each with its own; numbers begin with 1."""
    asked = {"job_id": job_id, "after": after, "limit": min(limit, EVENTS_MAX)}
    rows = database.rows(_SQL["list_events"], asked)
    return [(row["number"], bytes(row["data"])) for row in rows]


def steps(database: Database, job_id: str) -> dict[str, bytes]:
    """What a job has done, by name."""
    rows = database.rows(_SQL["list_steps"], {"job_id": job_id})
    return {row["name"]: bytes(row["value"]) for row in rows}


def depths(database: Database, now_s: float) -> list[Depth]:
    """Jobs that have not ended, by queue, priority and state."""
    return [
        Depth(
            row["queue"],
            row["priority"],
            row["state"],
            row["jobs"],
            max(0.0, now_s - row["oldest_at"]),
        )
        for row in database.rows(_SQL["depths"])
    ]


def waits(database: Database, queue: str) -> bool:
    """Whether a job of the queue waits for a worker."""
    return bool(database.rows(_SQL["queue_waits"], {"queue": queue}))


def paused(database: Database) -> dict[str, bool]:
    """Whether a queue is stopped, for the queues that have or had a limit or a pause."""
    rows = database.rows(_SQL["list_queues"], {"limit": QUEUES_MAX})
    return {row["name"]: bool(row["paused"]) for row in rows}


def _row(database: Database, query: str, job_id: str, owner: str | None) -> dict[str, Any]:
    rows = database.rows(_SQL[query], {"id": job_id})
    if not rows or owner not in {None, rows[0]["owner"]}:
        raise NotFound("There is no job with this id.", param="id")
    return rows[0]


def _or(value: float | None, other: float) -> float:
    return other if value is None else value
