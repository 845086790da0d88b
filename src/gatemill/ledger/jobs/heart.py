"""A worker's sign of life, in a thread and with a connection of its own.

Rule: it beats while the event loop turns, however busy loop and ledger are. What the loop is told, it is
told on the loop. The thread also reads which jobs are to stop, and writes how far they are.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.core.errors import LedgerUnavailable, Overloaded
from gatemill.ledger import queries
from gatemill.ledger.jobs.rows import stored
from gatemill.ledger.upkeep import Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatemill.core.clock import Clock
    from gatemill.core.job import Claimed, Progress
    from gatemill.ledger.database import Database
    from gatemill.ledger.place import Place

LOOK_S = 1.0  # between two looks for jobs that are to stop; a shorter beat makes it shorter
HUNG_S_MIN = 1.0  # a loop that is silent for longer than a beat, and than this, hangs
CANCELS_MAX = 10_000  # jobs told of in one look

_SQL = queries.load("jobs_upkeep")
_BEAT = _SQL["beat"]
_CANCELS = _SQL["list_cancels"]
_PROGRESS = queries.load("jobs_end")["keep_progress"]


class Listener(Struct, frozen=True):
    """What a worker is told, on its loop."""

    on_cancel: Callable[[Sequence[str]], None]  # these jobs are to stop; again while they run
    on_fenced: Callable[[], None]  # the worker was taken for dead, and its jobs are another's


class Heart(Thread):
    """Made and stopped by a worker. Ends by itself once the worker is fenced."""

    def __init__(
        self, place: Place, worker_id: str, beat_s: float, clock: Clock, listener: Listener
    ) -> None:
        super().__init__(name="worker-heart", daemon=True)
        self.running = 0  # jobs of the worker; set by its loop, shown to people
        self._place = place
        self._worker_id = worker_id
        self._beat_s = beat_s
        self._look_s = min(LOOK_S, beat_s)
        self._clock = clock
        self._listener = listener
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = Event()
        self._ticked_s = clock.monotonic_s()  # set by the loop
        self._due_s = clock.monotonic_s()  # of the next beat; set by the thread
        self._waiting: dict[str, tuple[Claimed, Progress]] = {}  # by job id
        self._lock = Lock()  # of `_waiting`
        self._condition = Condition("worker_heart")
        self._database: Database | None = None  # lives in the thread

    def start(self) -> None:
        """It beats from now on; called on the loop that it speaks to."""
        self._loop = asyncio.get_running_loop()
        self.tick()
        super().start()

    def tick(self) -> None:
        """The event loop turns; to be called several times a second."""
        self._ticked_s = self._clock.monotonic_s()

    def progress(self, claimed: Claimed, progress: Progress) -> None:
        """Written within about a second, if it is then the newest of the job."""
        with self._lock:
            self._waiting[claimed.job.id] = claimed, progress

    @property
    def late_s(self) -> float:
        """How far the next beat is behind its time."""
        return max(0.0, self._clock.monotonic_s() - self._due_s)

    def stop(self) -> None:
        """The thread has ended. Blocks until then."""
        self._stopping.set()
        if self.ident is not None:
            self.join()

    def run(self) -> None:
        """The thread's work, until `stop` or the end of the worker's lease."""
        try:
            while not self._stopping.is_set():
                try:
                    if not self._lives():
                        self._tell(self._listener.on_fenced)
                        return
                except (LedgerUnavailable, Overloaded) as error:
                    self._condition.failed(error.message)
                else:
                    self._condition.works()
                self._stopping.wait(self._look_s)
        finally:
            if self._database is not None:
                self._database.close()

    def _lives(self) -> bool:
        if self._database is None:
            self._database = self._place.open(writes=True)
        now_s = self._clock.monotonic_s()
        if now_s >= self._due_s and now_s - self._ticked_s <= max(HUNG_S_MIN, self._beat_s):
            beat = {
                "id": self._worker_id,
                "running": self.running,
                "now_s": self._clock.unix_s(),
            }
            if not self._database.run(_BEAT, beat):
                return False
            self._due_s = now_s + self._beat_s
        self._write_progress(self._database)
        asked = {"worker_id": self._worker_id, "limit": CANCELS_MAX}
        if found := [row["id"] for row in self._database.rows(_CANCELS, asked)]:
            self._tell(lambda: self._listener.on_cancel(found))
        return True

    def _write_progress(self, database: Database) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        try:
            with database.transaction():
                for job_id, (claimed, progress) in waiting.items():
                    named = {"job_id": job_id, "claim": claimed.claim}
                    database.run(_PROGRESS, {**named, "progress": stored(progress)})
        except LedgerUnavailable:
            with self._lock:
                self._waiting = waiting | self._waiting  # what came meanwhile is newer
            raise

    def _tell(self, call: Callable[[], None]) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop was closed: there is nobody to tell
            self._loop.call_soon_threadsafe(call)
