"""What the writer's thread does by itself: opening, committing rows, noticing changed keys.

Rule: a failing database is logged once when it starts to fail and once when it works again; rows
wait in the journal meanwhile, and keys stay as they were last read.
"""

from __future__ import annotations

import fcntl
import time
from collections import deque
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import structlog
from msgspec import Struct

from gatemill.core.errors import LedgerUnavailable
from gatemill.ledger import journal, keys, pepper, queries, usage
from gatemill.ledger.sqlite import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gatemill.core.call import UsageRow
    from gatemill.core.clock import Clock
    from gatemill.ledger.journal import Journal, Rows
    from gatemill.ledger.keys import KeyTable

RETRY_S = 0.5  # between two tries to commit to a failing database
SPARE_ROWS_MAX = 10_000  # about 10 MB: rows in memory alone, while even the journal fails
SPARE_BATCH_ROWS = 500


class Counters(Struct):
    """What the ledger did since it was opened. Each field has one writer: (l)oop or (w)riter."""

    rows_recorded: int = 0  # l
    rows_lost: int = 0  # l: neither journal nor memory had room; w: still in memory at the end
    journal_errors: int = 0  # l: appends that failed, whose rows went to memory
    rows_written: int = 0  # w: recorded by this process and committed
    rows_rejected: int = 0  # w: moved to rejected.txt, because the database refuses them for good
    rows_recovered: int = 0  # w: offered from the journals of dead processes
    rows_torn: int = 0  # w: cut off by the death of their process, before their record() returned
    commits: int = 0  # w
    commit_seconds: float = 0.0  # w: sum over the commits of rows
    commit_errors: int = 0  # w: failed tries; the rows stayed in the journal
    poll_errors: int = 0  # w: looks for changed keys that failed

    @property
    def rows_pending(self) -> int:
        """Rows recorded and not yet in the database."""
        done = self.rows_written + self.rows_rejected + self.rows_lost
        return max(0, self.rows_recorded - done)


class Condition:
    """A state that is logged when it changes.

    A log on the same full disk cannot be written either; that must not stop what it reports.
    """

    __slots__ = ("_name", "holds")

    def __init__(self, name: str) -> None:
        self._name = name
        self.holds = True

    def failed(self, reason: str) -> None:
        """Logged, if it held until now."""
        if self.holds:
            self.holds = False
            with suppress(OSError):
                structlog.get_logger().error(f"{self._name}_failing", reason=reason)

    def works(self) -> None:
        """Logged, if it had failed."""
        if not self.holds:
            self.holds = True
            with suppress(OSError):
                structlog.get_logger().warning(f"{self._name}_works_again")


class Upkeep:
    """The state of an open ledger. Satisfies writer.Duties."""

    journal: Journal
    keys: KeyTable  # replaced by the writer's thread, read by anybody
    pepper: bytes

    def __init__(self, data_dir: Path, path: Path, clock: Clock, pepper: bytes | None) -> None:
        self.counters = Counters()
        self.spare: deque[UsageRow] = deque()  # the loop appends, the writer's thread removes
        self.commits = Condition("usage_commits")
        self.polls = Condition("key_polls")
        self._given_pepper = pepper
        self._data_dir = data_dir
        self._folder = data_dir / "journal"
        self._path = path
        self._clock = clock

    def start(self) -> Database:
        """The database is current, what dead processes left is in it, and the keys are loaded.

        Raises LedgerUnavailable and InvalidValue.
        """
        try:
            return self._start()
        except OSError as error:
            raise LedgerUnavailable(
                f"The data directory {self._data_dir} cannot be used. Give this user the right to"
                " write there, or name another directory in server.data_dir."
            ) from error

    def flush(self, database: Database) -> float | None:
        """A batch of rows is committed; the seconds until the next try, None when all are."""
        try:
            again = self._commit_journal(database) or self._commit_spare(database)
        except (LedgerUnavailable, OSError) as error:
            self.counters.commit_errors += 1
            self.commits.failed(str(error))
            return RETRY_S
        self.commits.works()
        return 0.0 if again else None

    def poll(self, database: Database) -> None:
        """The key table is that of the database, unless the database cannot be read."""
        try:
            if keys.read_version(database) != self.keys.version:
                self.keys = keys.load(database, self.pepper, self._clock.unix_s())
        except LedgerUnavailable as error:
            self.counters.poll_errors += 1
            self.polls.failed(str(error))
        else:
            self.polls.works()

    def _start(self) -> Database:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._given_pepper is None:
            self.pepper = pepper.read_or_create(self._data_dir / "pepper")
        else:
            self.pepper = pepper.checked(self._given_pepper, "pepper")
        with ExitStack() as cleanup:
            # Two processes that switch a new file to WAL at once fail without any patience.
            with _alone(self._data_dir / "opening.lock"):
                database = Database(self._path, writes=True)
                cleanup.callback(database.close)
                database.migrate(queries.migrations(), self._clock.unix_s())
                pepper.bind(database, self.pepper)
            self._recover(database)
            self.keys = keys.load(database, self.pepper, self._clock.unix_s())
            self.journal = journal.Journal(self._folder, journal.FILE_BYTES, journal.FILE_BYTES_MAX)
            cleanup.pop_all()
        return database

    def _recover(self, database: Database) -> None:
        def commit(data: bytes) -> None:
            self._store(database, journal.decode(data))

        recovered = journal.recover(self._folder, commit)
        self.counters.rows_recovered = recovered.lines
        self.counters.rows_torn = recovered.torn

    def _commit_journal(self, database: Database) -> bool:
        chunk = self.journal.pending()
        if chunk is None:
            return False
        self.counters.rows_written += self._store(database, journal.decode(chunk.data))
        self.journal.retire(chunk)
        return True

    def _commit_spare(self, database: Database) -> bool:
        # By index, because the loop may append meanwhile.
        rows = [self.spare[i] for i in range(min(len(self.spare), SPARE_BATCH_ROWS))]
        if not rows:
            return False
        self.counters.rows_written += self._store(database, journal.Rows(rows, []))
        for _ in rows:
            self.spare.popleft()
        return True

    def _store(self, database: Database, found: Rows) -> int:
        # The number of rows that are in the database; the others are in rejected.txt.
        began_s = time.perf_counter()
        refused = usage.insert(database, found.rows) if found.rows else []
        self.counters.commit_seconds += time.perf_counter() - began_s
        self.counters.commits += 1
        rejected = [*found.rejected, *map(journal.encode, refused)]
        if rejected:
            journal.keep_rejected(self._folder, rejected)
            self.counters.rows_rejected += len(rejected)
        return len(found.rows) - len(refused)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """No other process is in this block for the same path."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
