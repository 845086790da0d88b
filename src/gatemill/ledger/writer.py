"""The one thread that writes. Rule: everything that changes the database passes through here, in order.

Work handed over with `submit` runs at once and is durable when its future resolves. Units handed over
with `share` are committed together, as many as wait, so that they share the price of a commit. Rows wait in the
journal; the first one wakes the thread, which gathers more for `GATHER_S` and then flushes them in
one transaction. Between two wake-ups it looks at the database every `POLL_S`.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from gatemill.core.errors import GatemillError, LedgerUnavailable, Overloaded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gatemill.ledger.database import Database

T = TypeVar("T")

GATHER_S = 0.1  # the longest a row waits for company before its transaction begins
POLL_S = 0.5  # between two looks for changes made by other processes
WORK_MAX = 1_000  # pieces of work that may wait; callers beyond that are told to come back
SHARE_MAX = 256  # units of one commit
# Units tried one by one, because their commit failed, that find the database unavailable in a row;
# then the others are told so without a try. Each may have waited for many seconds.
UNAVAILABLE_MAX = 2


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


class Share(Protocol):
    """How the rest of the room has something changed together with what others change just now."""

    def __call__(self, work: Callable[[Database], T | GatemillError]) -> Awaitable[T]:
        """As `Writer.share`."""
        ...


class Writer:
    """The thread and its inbox."""

    def __init__(self, duties: Duties) -> None:
        self.awake = False  # set by `wake`, cleared by the thread before it flushes
        self.commits = 0  # of units, by the thread
        self.units = 0  # in these commits
        self._duties = duties
        # None: look at `awake`, `_stopping`
        self._inbox: SimpleQueue[_Work | _Unit | None] = SimpleQueue()
        self._next: _Work | None = None  # taken out, and to run after the units before it
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
        self._check()
        future: Future[T] = Future()
        self._inbox.put(_Work(work, future))
        return future

    def share(self, work: Callable[[Database], T | GatemillError]) -> asyncio.Future[T]:
        """The result of `work`, durable; to be called and awaited in an event loop.

        It runs in a transaction of the thread's that it shares with the units around it, at most
        `SHARE_MAX`. When that fails, it runs once more in a transaction of its own; so a unit that
        refuses before it has changed anything returns the error instead of raising it, and
        disturbs nobody. Raises what `submit` raises; the future raises what `work` did.
        """
        self._check()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._inbox.put(_Unit(work, future, loop))
        return future

    def stop(self) -> Future[None]:
        """Resolves when all work and all rows that can be written are, and the thread has ended."""
        self._stopping = True
        self._inbox.put(None)
        return self._ended

    def _check(self) -> None:
        if self._stopping or not self.alive:
            raise LedgerUnavailable("The ledger is closed. Restart Gatemill to use it again.")
        if self._inbox.qsize() >= WORK_MAX:
            raise Overloaded(
                "Too many changes wait for the database. Try again in a moment.", retry_after_s=1.0
            )

    def _run(self) -> None:
        try:
            database = self._duties.start()
        except BaseException as error:  # handed to the caller of start()
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
        if isinstance(work, _Unit):
            self._commit(database, [work, *self._more_units()])
            work, self._next = self._next, None
        if work is not None:
            work.run(database)

    def _more_units(self) -> list[_Unit]:
        # Those that wait, up to the first work of another sort.
        units: list[_Unit] = []
        while len(units) < SHARE_MAX - 1 and not self._inbox.empty():
            work = self._inbox.get()
            if isinstance(work, _Unit):
                units.append(work)
            elif work is not None:
                self._next = work
                break
        return units

    def _commit(self, database: Database, units: list[_Unit]) -> None:
        # Whoever no longer waits for a unit has no use for it.
        units = [unit for unit in units if not unit.future.cancelled()]
        if len(units) == 1 or (units and self._failed(database, units)):
            self._commit_alone(database, units)
        _tell(units)

    def _commit_alone(self, database: Database, units: list[_Unit]) -> None:
        unavailable = 0  # in a row
        for unit in units:
            if unavailable < UNAVAILABLE_MAX:
                error = self._failed(database, [unit])
                unavailable = unavailable + 1 if isinstance(error, LedgerUnavailable) else 0
            unit.error = error

    def _failed(self, database: Database, units: list[_Unit]) -> Exception | None:
        # Why their transaction was undone; None when it is durable.
        try:
            with database.transaction():
                for unit in units:
                    unit.result = unit.work(database)
        except Exception as error:  # handed to whoever waits for the future
            return error
        self.commits += 1
        self.units += len(units)
        return None

    def _flush(self, database: Database) -> float | None:
        # Cleared first: a row that comes during the flush wakes the thread again.
        self.awake = False
        return self._duties.flush(database)

    def _refuse_the_rest(self) -> None:
        while not self._inbox.empty():
            work = self._inbox.get()
            if work is not None:
                work.refuse(LedgerUnavailable("The ledger was closed meanwhile."))


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
        except BaseException as error:  # handed to whoever waits for the future
            self.future.set_exception(error)

    def refuse(self, error: LedgerUnavailable) -> None:
        """It will not run."""
        self.future.set_exception(error)


class _Unit:
    """A function that shares a commit, and what became of it."""

    __slots__ = ("error", "future", "loop", "result", "work")

    def __init__(
        self,
        work: Callable[[Database], Any],
        future: asyncio.Future[Any],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.work = work
        self.future = future
        self.loop = loop
        self.result: Any = None
        self.error: Exception | None = None

    def refuse(self, error: LedgerUnavailable) -> None:
        """It will not run."""
        self.error = error
        _tell([self])


def _tell(units: list[_Unit]) -> None:
    # One call for all that wait in a loop: each call wakes it.
    loops: dict[asyncio.AbstractEventLoop, list[_Unit]] = {}
    for unit in units:
        loops.setdefault(unit.loop, []).append(unit)
    for loop, waiting in loops.items():
        with suppress(RuntimeError):  # the loop was closed, and nobody waits there
            loop.call_soon_threadsafe(_resolve, waiting)


def _resolve(units: list[_Unit]) -> None:
    for unit in units:
        if unit.future.done():
            continue
        error = unit.result if isinstance(unit.result, GatemillError) else unit.error
        if error is not None:
            unit.future.set_exception(error)
        else:
            unit.future.set_result(unit.result)
