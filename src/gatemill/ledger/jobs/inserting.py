"""Jobs enter the ledger here, whoever submits them. Rule: the caller has a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.core.job import Job
from gatemill.ledger import queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.job import NewJob
    from gatemill.ledger.database import Database

_SQL = queries.load("jobs")
_INSERT = _SQL["insert_job"]
_INSERT_DATA = _SQL["insert_job_data"]


def insert(database: Database, new: NewJob, now_s: float) -> bool:
    """The job is there; False when one with its id or its owner and unique key was, and is as it was."""
    created = database.run_many(_INSERT, [_row(new, now_s)]) == 1
    if created:
        database.run_many(_INSERT_DATA, [(new.id, new.args)])
    return created


def insert_all(database: Database, new: Sequence[NewJob], now_s: float) -> bool:
    """All are there; False when one of them was already: then the transaction is to be undone."""
    if database.run_many(_INSERT, [_row(each, now_s) for each in new]) != len(new):
        return False
    database.run_many(_INSERT_DATA, [(each.id, each.args) for each in new])
    return True


def waiting(new: NewJob, now_s: float) -> Job:
    """The job as it is in the ledger once it was inserted."""
    run_at = now_s if new.run_at is None else new.run_at
    return Job(
        id=new.id,
        owner=new.owner,
        key_id=new.key_id,
        kind=new.kind,
        queue=new.queue,
        priority=new.priority,
        state="scheduled" if run_at > now_s else "queued",
        run_at=run_at,
        expires_at=new.expires_at,
        attempt=0,
        attempts_max=new.attempts_max,
        lost=0,
        timeout_s=new.timeout_s,
        keep_s=new.keep_s,
        cancel=False,
        unique_key=new.unique_key,
        callback_url=new.callback_url,
        metadata=new.metadata,
        parent_id=new.parent_id,
        part=new.part,
        parts=0,
        parts_open=0,
        notify=new.notify,
        traceparent=new.traceparent,
        worker_id="",
        created_at=now_s,
        started_at=None,
        finished_at=None,
        keep_until=None,
        error=None,
    )


def _row(new: NewJob, now_s: float) -> tuple[Any, ...]:
    # In the order of the statement's parameters.
    job = waiting(new, now_s)
    return (
        job.id,
        job.owner,
        job.key_id,
        job.kind,
        job.queue,
        job.queue,
        job.priority,
        job.state,
        job.run_at,
        job.expires_at,
        job.attempts_max,
        job.timeout_s,
        job.keep_s,
        job.unique_key,
        new.fingerprint,
        job.callback_url,
        job.metadata.decode(),
        job.parent_id,
        job.part,
        job.notify,
        job.created_at,
        job.traceparent,
    )
