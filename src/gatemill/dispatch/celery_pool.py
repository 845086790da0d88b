"""Celery's pool: a parked thread for each running job, one event loop for all the work.

Celery's tracing is synchronous, so each message needs a thread; 300 of them that only wait cost about
50 MB. Rule: the house opens before the first message, and closes after the last.
"""

from __future__ import annotations

from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, Protocol

from celery.concurrency.base import apply_target
from celery.concurrency.thread import TaskPool

if TYPE_CHECKING:
    from collections.abc import Callable


class Inside(Protocol):
    """The house in this process, as the pool sees it. All methods block."""

    def start(self) -> None:
        """Jobs can run."""

    def stop(self, *, warm: bool) -> None:
        """No job runs any more; with `warm` they had the grace that the configuration gives."""


class AsyncPool(TaskPool):
    """What `worker_pool` names; Celery makes one."""

    def on_start(self) -> None:
        """The house is open. What it raises ends the worker."""
        self._inside.start()

    def on_apply(
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> Applied:
        """The message has a thread."""
        calls = (options.get("callback"), options.get("accept_callback"))
        return Applied(self.executor.submit(apply_target, target, args, kwargs, *calls))

    def on_stop(self) -> None:
        """All jobs have ended, or are the ledger's again."""
        self._inside.stop(warm=True)
        super().on_stop()

    def on_terminate(self) -> None:
        """All jobs are the ledger's again."""
        self._inside.stop(warm=False)
        super().on_stop()

    def terminate_job(self, pid: int, signal: Any = None) -> None:
        """Nothing: jobs are cancelled in the ledger, and threads cannot be killed."""

    @property
    def _inside(self) -> Inside:
        inside: Inside = self.app.inside
        return inside


class Applied:
    """What Celery keeps of a message in the pool."""

    def __init__(self, future: Future[None]) -> None:
        self._future = future
        self.get = future.result

    def wait(self, timeout: float | None = None) -> None:
        """It has been dealt with, or the time is over."""
        wait((self._future,), timeout)

    def terminate(self, signal: Any = None) -> None:
        """Nothing, as in `terminate_job`."""
