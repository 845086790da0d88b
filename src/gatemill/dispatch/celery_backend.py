"""`AsyncResult` reads the ledger. Rule: nothing is stored here; what becomes of a job stands there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from celery import states
from celery.backends.base import BaseBackend
from celery.exceptions import TaskRevokedError

from gatemill.core.job import Problem
from gatemill.dispatch.celery_names import job_of

if TYPE_CHECKING:
    from gatemill.core.job import Full

_STATES = {
    "running": states.STARTED,
    "succeeded": states.SUCCESS,
    "dead": states.FAILURE,
    "expired": states.FAILURE,
    "cancelled": states.REVOKED,
}


class JobFailed(Exception):
    """What `AsyncResult.get()` raises for a job that is a dead letter, or has expired."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class LedgerBackend(BaseBackend):
    """What `result_backend` names; Celery makes one for each thread that asks."""

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        full: Full | None = self.app.inside.look(job_of(task_id))
        state, result = (states.PENDING, None) if full is None else celery_state(full)
        return {
            "task_id": task_id,
            "status": state,
            "result": result,
            "traceback": None,
            "children": [],
        }

    def _store_result(self, task_id: str, result: Any, state: str, *_: Any, **__: Any) -> Any:
        return result

    def _forget(self, task_id: str) -> None:
        """Results go when the ledger's time for them is over."""


def celery_state(full: Full) -> tuple[str, Any]:
    """Celery's word for the state of a job, and its result or what went wrong."""
    job = full.job
    state = _STATES.get(job.state, states.RETRY if job.attempt else states.PENDING)
    if state == states.SUCCESS:
        return state, None if full.result is None else msgspec.json.decode(full.result)
    if state == states.REVOKED:
        return state, TaskRevokedError("cancelled")
    if state == states.FAILURE:
        return state, failure(full)
    return state, None


def failure(full: Full) -> JobFailed:
    """Why the job did not succeed."""
    if full.job.error is None:
        return JobFailed(full.job.state, "The job did not begin in time.")
    problem = msgspec.json.decode(full.job.error, type=Problem)
    return JobFailed(problem.code, problem.message)
