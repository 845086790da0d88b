"""What follows when a job has ended. Rule: called after every transition to a final state, once.

The caller has a transaction, in which the job's row is already as it is now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.ledger import outbox, queries
from gatemill.ledger.jobs.inserting import insert
from gatemill.ledger.jobs.rows import job_of

if TYPE_CHECKING:
    from gatemill.core.job import Job
    from gatemill.ledger.database import Database

_SQL = queries.load("jobs_end")
_PART_ENDED = _SQL["part_ended"]
_CANCEL_WAITING = _SQL["cancel_waiting_parts"]
_FLAG_RUNNING = _SQL["flag_running_parts"]


def ended(database: Database, job: Job, result: bytes | None, now_s: float) -> None:
    """Whoever waits for the job knows: its parent goes on with its last part, webhooks are on their way.

    `result` is what a job that succeeded gave. Parts that a job leaves behind are cancelled.
    """
    if job.parent_id:
        database.run(_PART_ENDED, {"id": job.parent_id})
    if job.parts_open:
        cancel_parts(database, job.id, now_s)
    if job.notify:
        for letter in outbox.letters(database, job, result, now_s):
            insert(database, letter, now_s)


def cancel_parts(database: Database, parent_id: str, now_s: float) -> int:
    """The number of parts that have ended now, or that run and were told to stop."""
    stopping = database.rows(_FLAG_RUNNING, {"parent_id": parent_id})
    stopped = database.rows(_CANCEL_WAITING, {"parent_id": parent_id, "now_s": now_s})
    for row in stopped:
        ended(database, job_of(row), None, now_s)
    return len(stopping) + len(stopped)
