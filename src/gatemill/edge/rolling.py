"""Workers that are replaced one by one while the others serve.

That brings another version of the code into effect, and settings that only a start reads. The new worker shares the socket of the one it replaces. Once it is ready, the old one lets go of the
socket, answers what it has accepted, and ends. If the new one does not start, the old one stays and
the rest is not tried.
Rule: decides and sends signals; the supervisor starts processes and hears them.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gatemill.edge.workers import Worker


class Rolling:
    """Which seats wait for another worker, and who is leaving."""

    def __init__(self, workers: list[Worker], say: Callable[..., None]) -> None:
        """`workers` are those in their seats; here one is put in the place of another."""
        self._workers = workers
        self._say = say
        self._seats: list[int] = []  # still to be replaced, by their place in `workers`
        self._old: Worker | None = None  # replaced as soon as the new one is ready
        self._new: Worker | None = None
        self._kill_at_s: dict[Worker, float] = {}  # of those who were told to leave
        self._stops = False
        self.begun = False  # ever: from then on every worker begins as a new program

    @property
    def leaving(self) -> list[Worker]:
        """Workers without a seat."""
        return [*self._kill_at_s, *self.outgoing]

    @property
    def outgoing(self) -> list[Worker]:
        """Of those, the one that serves until the new one is ready."""
        return [self._old] if self._old is not None else []

    def begin(self, now_s: float) -> None:
        """Every worker is replaced, the first one first; nothing where that is under way."""
        if self._new is not None:
            self._say("workers_being_replaced")
            return
        self.begun = True
        self._seats = list(range(len(self._workers)))
        self._next(now_s)

    def stop(self) -> None:
        """No others are replaced, and who has no seat ends; told again, those who leave hurry."""
        self._seats = []
        if self._stops:
            for worker in self._kill_at_s:
                _send(worker, signal.SIGTERM)
        if self._old is not None and self._old.pid:
            _send(self._old, signal.SIGTERM)
        self._stops = True

    def awaits(self, worker: Worker) -> bool:
        """Whether it is the new one."""
        return worker is self._new

    def arrived(self, worker: Worker, kill_at_s: float) -> None:
        """The new one is ready: the old one is told to leave."""
        old, self._old, self._new = self._old, None, None
        self._say("worker_replaced", worker=worker.number, worker_pid=worker.pid)
        if old is not None and old.pid:
            self._kill_at_s[old] = kill_at_s
            if not self._stops:  # or it ends already, and would take this for haste
                _send(old, signal.SIGUSR2)
        self._next(worker.started_s)

    def gone(self, worker: Worker, pid: int, code: int) -> bool:
        """Whether a worker that has ended is none of the supervisor's: it had no seat, or another has it."""
        fields = {"worker": worker.number, "worker_pid": pid, "exit_code": code}
        if worker in self._kill_at_s:
            del self._kill_at_s[worker]
            self._say("worker_left", **fields)
            return True
        if worker is self._old:  # before the other one was ready
            self._old = None
            self._say("worker_died", **fields, words=worker.words)
            return True
        if worker is not self._new:
            return False
        self._new = None
        if self._old is None:
            return False  # nobody has its seat: it is started again like any other
        self._workers[self._workers.index(worker)] = self._old
        self._old = None
        self._seats = []
        self._say("workers_not_replaced", **fields, words=worker.words)
        return True

    def ends_at_s(self, now_s: float) -> Iterator[float]:
        """When those who leave are killed, in monotonic seconds; those whose time is over are."""
        for worker in self._kill_at_s:
            if not worker.pid:
                continue
            if now_s >= self._kill_at_s[worker]:
                _send(worker, signal.SIGKILL)
                self._kill_at_s[worker] = now_s + 1.0
            yield self._kill_at_s[worker]

    def _next(self, now_s: float) -> None:
        # A seat without a process is about to get one that runs what is new.
        while self._seats:
            place = self._seats.pop(0)
            old = self._workers[place]
            if old.pid and old.is_ready:
                self._old = old
                self._new = self._workers[place] = old.successor(now_s)
                return
        self._say("workers_replaced", workers=len(self._workers))


def _send(worker: Worker, number: int) -> None:
    if not worker.pid:  # it has ended; 0 would be all processes of our group
        return
    with suppress(ProcessLookupError):
        os.kill(worker.pid, number)
