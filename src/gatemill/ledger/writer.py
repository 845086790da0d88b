"""The one thread that writes. Rule: everything that changes the database passes through here, in order.

Work handed over with `submit` runs at once and is durable when its future resolves. Rows wait in the
journal; the first one wakes the thread, which gathers more for `GATHER_S` and then flushes them in
one transaction. Between two wake-ups it looks at the database every `POLL_S`.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from gatemill.core.errors import LedgerUnavailable, Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.ledger.database import Database

T = TypeVar("T")

GATHER_S = 0.1  # the longest a row waits for company before its transaction begins
POLL_S = 0.5  # between two looks for changes made by other processes
WORK_MAX = 1_000  # pieces of work that may wait; callers beyond that are told to come back


class Duties(Protocol):
    """What the thread does by itself, all of it in the thread."""

    def start(self) -> Database:
        """Open the database. What it raises, `Writer.start` raises."""
        ...

    def flush(self, database: Database) -> float | None:
        """Commit a batch of rows; seconds until the next call, None when nothing is left."""
        ...

    def poll(self, database: Database) -> None:
        """Notice what other processes changed or left behind."""
        ...


class Write(Protocol):
    """How the rest of the room has something changed."""

    async def __call__(self, work: Callable[[Database], T]) -> T:
        """The result of `work`, which ran in the thread and is durable.

        Raises what it raised, and what `Writer.submit` raises.
        """
        ...


class Writer:
    """The thread and its inbox."""

    def __init__(self, duties: Duties) -> None:
        self.awake = False  # set by `wake`, cleared by the thread before it flushes
        self._duties = duties
        self._inbox: SimpleQueue[_Work | None] = SimpleQueue()  # None: look at `awake`, `_stopping`
        self._stopping = False  # set once by `stop`
        self._opened: Future[None] = Future()
        self._ended: Future[None] = Future()
        # A daemon: a process that forgets to close must still be able to exit; the journal keeps
        # what the thread had not committed.
        self._thread = Thread(target=self._run, name="ledger-writer", daemon=True)

    def start(self) -> None:
        """The database is open and the thread runs. Raises what opening raised."""
        self._thread.start()
        self._opened.result()

    @property
    def alive(self) -> bool:
        """The thread runs."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """Rows wait: they will be flushed within `GATHER_S`. Callers look at `awake` first."""
        self.awake = True
        self._inbox.put(None)

    def submit(self, work: Callable[[Database], T]) -> Future[T]:
        """The result of `work`, run in the thread after everything handed over before it.

        Raises Overloaded when `WORK_MAX` pieces wait, LedgerUnavailable after `stop`.
        """
        if self._stopping or not self.alive:
            raise LedgerUnavailable("The ledger is closed. Restart Gatemill to use it again.")
        if self._inbox.qsize() >= WORK_MAX:
            raise Overloaded(
                "Too many changes wait for the database. Try again in a moment.", retry_after_s=1.0
            )
        future: Future[T] = Future()
        self._inbox.put(_Work(work, future))
        return future

    def stop(self) -> Future[None]:
        """Resolves when all work and all rows that can be written are, and the thread has ended."""
        self._stopping = True
        self._inbox.put(None)
        return self._ended

    def _run(self) -> None:
        try:
            database = self._duties.start()
        except BaseException as error:  # noqa: BLE001 - handed to the caller of start()
            self._opened.set_exception(error)
            self._ended.set_result(None)
            return
        self._opened.set_result(None)
        try:
            self._serve(database)
            database.close()
        finally:
            self._refuse_the_rest()
            self._ended.set_result(None)

    def _serve(self, database: Database) -> None:
        poll_at_s = time.monotonic() + POLL_S
        flush_at_s: float | None = None
        while True:
            due_s = poll_at_s if flush_at_s is None else min(poll_at_s, flush_at_s)
            self._take(database, due_s)
            if self._stopping and self._inbox.empty():
                break
            if self.awake and flush_at_s is None:
                flush_at_s = time.monotonic() + GATHER_S
            if flush_at_s is not None and time.monotonic() >= flush_at_s:
                again_s = self._flush(database)
                flush_at_s = None if again_s is None else time.monotonic() + again_s
            if time.monotonic() >= poll_at_s:
                self._duties.poll(database)
                poll_at_s = time.monotonic() + POLL_S
        while self._flush(database) == 0.0:
            pass  # the last rows; a database that fails leaves them to the journal

    def _take(self, database: Database, due_s: float) -> None:
        # One piece of work, or none until `due_s`.
        try:
            work = self._inbox.get(timeout=max(0.0, due_s - time.monotonic()))
        except Empty:
            return
        if work is not None:
            work.run(database)

    def _flush(self, database: Database) -> float | None:
        # Cleared first: a row that comes during the flush wakes the thread again.
        self.awake = False
        return self._duties.flush(database)

    def _refuse_the_rest(self) -> None:
        while not self._inbox.empty():
            work = self._inbox.get()
            if work is not None:
                work.future.set_exception(LedgerUnavailable("The ledger was closed meanwhile."))


class _Work:
    """A function and the future of its result."""

    __slots__ = ("future", "work")

    def __init__(self, work: Callable[[Database], Any], future: Future[Any]) -> None:
        self.work = work
        self.future = future

    def run(self, database: Database) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self.work(database))
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the future
            self.future.set_exception(error)
