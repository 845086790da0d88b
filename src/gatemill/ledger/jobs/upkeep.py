"""What keeps jobs moving when nobody asks. Rule: safe in every process at once, and bounded each time.

The caller has a transaction for each call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gatemill.core.job import QUARANTINE, STREAM, Problem, Ring
from gatemill.ledger import queries
from gatemill.ledger.jobs.changing import delete
from gatemill.ledger.jobs.ended import ended
from gatemill.ledger.jobs.ending import Back, End, end, put_back
from gatemill.ledger.jobs.rows import Turned, job_of, stored, worker_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatemill.core.job import Job
    from gatemill.ledger.database import Database
    from gatemill.ledger.jobs.rows import WorkerRow

REAP_JOBS = 500  # taken back in one transaction
PROMOTE_JOBS = 1_000
EXPIRE_JOBS = 500
RETAIN_JOBS = 200
LOST_QUARANTINE = 2  # deaths of its workers that bring a job into quarantine
LOST_MAX = 5  # and to the dead letters
WORKERS_MAX = 10_000  # that are listed

_SQL = queries.load("jobs_upkeep")
_LOST = Problem(
    "worker_lost",
    "The workers that ran this job died, time and again. Look for what it does to a process, such as"
    " memory that it takes.",
)


def enroll(database: Database, worker: WorkerRow) -> None:
    """The worker may take jobs."""
    row = msgspec.structs.asdict(worker)
    database.run(_SQL["enroll"], {**row, "queues": stored(worker.queues)})


def leave(database: Database, worker_id: str) -> None:
    """The worker takes no more jobs; those that it left running count as lost."""
    database.run(_SQL["leave"], {"id": worker_id})


def reap(database: Database, spared: str, now_s: float) -> list[Turned]:
    """Jobs of workers that have been silent for too long, taken back; at most `REAP_JOBS`.

    `spared` is a worker who knows that it lives, although it was silent.
    """
    database.run(_SQL["bury_silent"], {"now_s": now_s, "spared": spared})
    rows = database.rows(_SQL["list_orphans"], {"limit": REAP_JOBS})
    return [Turned(_take_back(database, row, now_s), row["worker_id"]) for row in rows]


def reap_dead_pids(
    database: Database, host: str, alive: Callable[[int, int], bool], now_s: float
) -> list[Turned]:
    """The same, of workers of this host whose process is gone, without the wait for their lease."""
    for row in database.rows(_SQL["workers_of_host"], {"host": host}):
        if not alive(row["pid"], row["pid_started"]):
            leave(database, row["id"])
    return reap(database, "", now_s)


def promote(database: Database, now_s: float) -> int:
    """The number of jobs whose time has come, at most `PROMOTE_JOBS`."""
    return len(database.rows(_SQL["promote"], {"now_s": now_s, "limit": PROMOTE_JOBS}))


def expire(database: Database, now_s: float) -> int:
    """The number of jobs that have ended because they did not begin in time, at most `EXPIRE_JOBS`."""
    rows = database.rows(_SQL["expire"], {"now_s": now_s, "limit": EXPIRE_JOBS})
    for row in rows:
        ended(database, job_of(row), None, now_s)
    return len(rows)


def rerung(database: Database, older_s: float, limit: int, now_s: float) -> list[Ring]:
    """Jobs that wait and of which no worker was told in the last `older_s` seconds; they count as told."""
    asked = {"before_s": max(now_s - older_s, 1.0), "now_s": now_s, "limit": limit}
    rows = database.rows(_SQL["rerung"], asked)
    return [Ring(row["id"], row["queue"], row["priority"]) for row in rows]


def mark_rung(database: Database, job_ids: Sequence[str], now_s: float) -> None:
    """Workers were told of these jobs."""
    query = _SQL["mark_rung"]
    names = [name for name in query.dollar_params if name != "now_s"]
    for at in range(0, len(job_ids), len(names)):
        some = [*job_ids[at : at + len(names)], *[""] * len(names)]
        database.run(query, {**dict(zip(names, some, strict=False)), "now_s": now_s})


def retain(database: Database, now_s: float) -> int:
    """The number of jobs deleted because nobody may read them any more, at most `RETAIN_JOBS`."""
    rows = database.rows(_SQL["list_kept"], {"now_s": now_s, "limit": RETAIN_JOBS})
    delete(database, [row["id"] for row in rows])
    return len(rows)


def workers(database: Database) -> list[WorkerRow]:
    """Who runs jobs."""
    rows = database.rows(queries.load("jobs")["list_workers"], {"limit": WORKERS_MAX})
    return [worker_of(row) for row in rows]


def _take_back(database: Database, row: dict[str, Any], now_s: float) -> Job:
    # The attempt was not the job's failure and does not count; the death does.
    row["lost"] += 1
    if row["cancel"] or row["lost"] >= LOST_MAX:
        row["attempt"] -= 1
        last = End("cancelled", "lost") if row["cancel"] else End("dead", "lost", _LOST)
        return end(database, row, last, now_s)
    if row["lost"] >= LOST_QUARANTINE and row["kind"] != STREAM:
        row["queue"] = QUARANTINE
    return put_back(database, row, Back("queued", row["run_at"], "lost"), now_s)
