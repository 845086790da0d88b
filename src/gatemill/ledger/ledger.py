"""The ledger as the house sees it: record rows, know keys, ask for sums.

Rule: `record` and `keys.identify` never wait; everything else is awaited and runs in the ledger's
threads, one that writes and one that reads.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from gatemill.core.errors import LedgerUnavailable, Overloaded
from gatemill.ledger import keys, usage
from gatemill.ledger.sqlite import Database, database_path
from gatemill.ledger.upkeep import SPARE_ROWS_MAX, Condition, Counters, Upkeep
from gatemill.ledger.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gatemill.core.call import Key, UsageRow
    from gatemill.core.clock import Clock
    from gatemill.ledger.keys import KeyTable, ListedKey, NewKey
    from gatemill.ledger.usage import Total

T = TypeVar("T")

READS_MAX = 100  # that may wait for the reading thread
DAY_S = 86_400.0


class Ledger:
    """An open ledger. Made by `open`; belongs to the thread of one event loop."""

    def __init__(self, upkeep: Upkeep, writer: Writer, reader: _Reader, clock: Clock) -> None:
        self._upkeep = upkeep
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._journal = upkeep.journal
        self._journaling = Condition("usage_journal")
        self._keeping = Condition("usage_rows")  # fails when rows are lost
        self._closed = False

    @classmethod
    def open(
        cls, data_dir: Path, url: str | None, clock: Clock, *, pepper: bytes | None = None
    ) -> Ledger:
        """The ledger, current and with its keys loaded; blocks until then, so call it before serving.

        `url` is None for gatemill.db in `data_dir`, or sqlite:///path. `pepper` None means the file
        `pepper` in `data_dir`, made if missing. Raises LedgerUnavailable and InvalidValue, both with
        a message for whoever starts the program.
        """
        path = database_path(data_dir, url)
        upkeep = Upkeep(data_dir, path, clock, pepper)
        writer = Writer(upkeep)
        writer.start()
        return cls(upkeep, writer, _Reader(path), clock)

    # --- The hot path ---------------------------------------------------------------------------

    def record(self, row: UsageRow) -> None:
        """The row survives the death of this process and is in the database within about 100 ms.

        Never raises and never waits for the database. While the journal fails, rows are held in
        memory, at most `SPARE_ROWS_MAX`; beyond that they are counted as lost.
        """
        upkeep = self._upkeep
        upkeep.counters.rows_recorded += 1
        try:
            self._journal.append(row)
        except OSError as error:
            self._hold(row, error)
        else:
            if not self._journaling.holds:
                self._journaling.works()
        if not self._writer.awake:
            self._writer.wake()

    def identify(self, secret: bytes) -> Key | None:
        """The key of a secret, whatever its state; None for an unknown one."""
        return self._upkeep.keys.identify(secret)

    @property
    def keys(self) -> KeyTable:
        """The keys as of at most a second ago; a new object after every change."""
        return self._upkeep.keys

    # --- Keys -----------------------------------------------------------------------------------

    async def create_key(
        self,
        name: str,
        models: Sequence[str] = ("*",),
        *,
        admin: bool = False,
        expires_s: float | None = None,
    ) -> NewKey:
        """A new key, durable and known here; its secret is nowhere else. Raises InvalidValue."""
        scope = keys.Scope(name, tuple(models), admin, expires_s)
        pepper, now_s = self._upkeep.pepper, self._clock.unix_s()
        return await self._change_keys(lambda db: keys.create(db, pepper, scope, now_s))

    async def rotate_key(self, key_id: str, grace_s: float) -> NewKey:
        """A key with a new id and the old one's name and scope; the old one ends after `grace_s`.

        Raises NotFound and InvalidValue.
        """
        pepper, now_s = self._upkeep.pepper, self._clock.unix_s()
        return await self._change_keys(lambda db: keys.rotate(db, pepper, key_id, grace_s, now_s))

    async def revoke_key(self, key_id: str) -> Key:
        """The key, which works no longer: here at once, elsewhere within a second. Raises NotFound."""
        now_s = self._clock.unix_s()
        return await self._change_keys(lambda db: keys.revoke(db, key_id, now_s))

    async def list_keys(self, limit: int) -> list[ListedKey]:
        """Keys of every state, newest first."""
        return await self._reader.run(lambda db: keys.listed(db, limit))

    # --- Usage ----------------------------------------------------------------------------------

    async def recent(self, limit: int) -> list[UsageRow]:
        """The newest committed attempts first."""
        return await self._reader.run(lambda db: usage.recent(db, limit))

    async def totals(self, since_s: float, until_s: float) -> list[Total]:
        """Sums per key and model of attempts begun in [since, until) Unix time, the dearest first."""
        return await self._reader.run(lambda db: usage.totals(db, since_s, until_s))

    async def delete_before(self, before_s: float) -> int:
        """The number of attempts deleted, all of those that began before a Unix time."""
        deleted = 0
        while True:
            count = await self._write(lambda db: usage.delete_before(db, before_s))
            deleted += count
            if count < usage.DELETE_ROWS:
                return deleted

    async def retain(self, days: float) -> int:
        """The number of attempts deleted because they are older than `days`."""
        return await self.delete_before(self._clock.unix_s() - days * DAY_S)

    async def flushed(self) -> None:
        """All rows recorded before are in the database. Raises LedgerUnavailable when they cannot be."""

        def flush(database: Database) -> None:
            while self._upkeep.flush(database) == 0.0:
                pass
            if not self._upkeep.commits.holds:
                raise LedgerUnavailable("The database takes no rows; they wait in the journal.")

        await self._write(flush)

    # --- Its state ------------------------------------------------------------------------------

    @property
    def counters(self) -> Counters:
        """Live counters, for metrics."""
        return self._upkeep.counters

    def healthy(self) -> bool:
        """The thread runs, rows reach journal and database, and changed keys are noticed."""
        upkeep = self._upkeep
        good = self._journaling.holds and upkeep.commits.holds and upkeep.polls.holds
        return good and self._writer.alive and not self._closed

    async def close(self) -> None:
        """All rows are in the database, or stay in the journal if it fails; the threads have ended."""
        if self._closed:
            return
        self._closed = True
        await self._reader.close()
        await asyncio.wrap_future(self._writer.stop())
        self._journal.close()
        if self._upkeep.spare:
            self.counters.rows_lost += len(self._upkeep.spare)
            self._keeping.failed("closed while neither journal nor database could be written")

    def _hold(self, row: UsageRow, error: OSError) -> None:
        upkeep = self._upkeep
        upkeep.counters.journal_errors += 1
        self._journaling.failed(error.strerror or type(error).__name__)
        if len(upkeep.spare) < SPARE_ROWS_MAX:
            upkeep.spare.append(row)
            self._keeping.works()
            return
        upkeep.counters.rows_lost += 1
        self._keeping.failed("neither journal nor database can be written, and memory is used up")

    async def _change_keys(self, change: Callable[[Database], T]) -> T:
        def run(database: Database) -> T:
            result = change(database)
            self._upkeep.poll(database)  # known here before the caller hears of it
            return result

        return await self._write(run)

    async def _write(self, work: Callable[[Database], T]) -> T:
        return await asyncio.wrap_future(self._writer.submit(work))


class _Reader:
    """A thread with a connection that only reads, started by the first question."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ledger-reader")
        self._database: Database | None = None  # lives in the thread
        self._waiting = 0

    async def run(self, work: Callable[[Database], T]) -> T:
        """The answer. Raises Overloaded when `READS_MAX` questions wait."""
        if self._waiting >= READS_MAX:
            raise Overloaded("Too many reports are being made. Try again later.", retry_after_s=5.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._do, work)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """The thread has ended."""
        await asyncio.get_running_loop().run_in_executor(self._pool, self._end)
        self._pool.shutdown()

    def _do(self, work: Callable[[Database], T]) -> T:
        if self._database is None:
            self._database = Database(self._path, writes=False)
        return work(self._database)

    def _end(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
