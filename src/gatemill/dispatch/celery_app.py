"""A worker of Celery's that runs our jobs: `celery -A gatemill.dispatch.celery_app worker`.

A door like the command line: it reads the environment and opens the house, as no other file of this
room may. Programs import `app` from here to read results: `AsyncResult("job_…", app=app).get()`.
Rule: Celery brings ids and parks threads; the ledger says what runs, and what became of it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from celery import Celery
from celery.exceptions import Ignore
from celery.signals import celeryd_init
from celery.worker.control import control_command

from gatemill.dispatch.celery_backend import celery_state, failure
from gatemill.dispatch.celery_names import TASK, configure, job_of
from gatemill.house.celery import Inside

if TYPE_CHECKING:
    from collections.abc import Sequence

_POOL = "gatemill.dispatch.celery_pool:AsyncPool"
_BACKEND = "gatemill.dispatch.celery_backend:LedgerBackend"


class App(Celery):
    """An app with a house."""

    def __init__(self, inside: Inside) -> None:
        super().__init__("gatemill")
        self.inside = inside
        configure(self, inside.broker, inside.slots)
        self.conf.update(worker_pool=_POOL, result_backend=_BACKEND)


app = App(Inside(os.environ))


@celeryd_init.connect(weak=False)
def name_worker(instance: Any, **_: Any) -> None:
    """Workers of one host have names of their own, or RabbitMQ locks the second one out.

    A name given with `-n` stays.
    """
    name, _at, host = instance.hostname.partition("@")
    if name == "celery":
        instance.hostname = f"celery-{os.getpid()}@{host}"


@app.task(name=TASK, bind=True, ignore_result=True, acks_late=True, max_retries=0)
def run_job(self: Any, job_id: str, queue: str = "") -> None:
    """The job has run here, or there was nothing to run.

    A job that is a dead letter is a task that failed; one that runs again, or was cancelled, is ignored.
    """
    inside: Inside = self.app.inside
    if not queue:
        known = inside.look(job_id)
        queue = "" if known is None else known.job.queue
    full = inside.run(job_id, queue)
    if full is not None and full.job.state == "dead":
        raise failure(full)
    if full is None or full.job.state != "succeeded":
        raise Ignore("" if full is None else celery_state(full)[0])


@control_command(
    name="terminate",
    variadic="task_id",
    args=[("signal", str)],
    signature="<signal> [id1 [id2 [... [idN]]]]",
)
def terminate(state: Any, signal: Any, task_id: str | Sequence[str], **_: Any) -> dict[str, str]:
    """Jobs are cancelled, also those that run; no signal is sent."""
    return _cancel(state, task_id, running=True)


@control_command(name="revoke", variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(
    state: Any, task_id: str | Sequence[str], terminate: bool = False, **_: Any
) -> dict[str, str]:
    """In the place of Celery's own, which knows messages and would forget with the worker.

    A job that waits is cancelled; one that runs too, with `terminate`.
    """
    return _cancel(state, task_id, running=terminate)


def _cancel(state: Any, ids: str | Sequence[str], *, running: bool) -> dict[str, str]:
    jobs = [job_of(each) for each in ((ids,) if isinstance(ids, str) else ids)]
    inside: Inside = state.app.inside
    for each in jobs:
        inside.cancel(each, running=running)
    return {"ok": f"jobs {', '.join(jobs)} cancelled"}
