"""What the writer's thread does by itself: opening, committing rows, noticing changed keys, tidying up.

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
from gatemill.ledger import claims, holds, journal, keys, pepper, queries, usage
from gatemill.ledger.database import LOG_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gatemill.core.call import UsageRow
    from gatemill.core.clock import Clock
    from gatemill.ledger.database import Database
    from gatemill.ledger.holds import Holds
    from gatemill.ledger.journal import Journal, Rows
    from gatemill.ledger.keys import KeyTable
    from gatemill.ledger.place import Place

RETRY_S = 0.5  # between two tries to commit to a failing database
SPARE_ROWS_MAX = 10_000  # about 10 MB: rows in memory alone, while even the journal fails
SPARE_BATCH_ROWS = 500
TIDY_S = 5.0  # between two looks for what dead processes left and for what has expired
READERS_S = 1.0  # patience with readers while the log is cut; a report takes a part of it
# An attempt whose process died waits so long for its true row. With TIDY_S it is settled within a
# minute.
SETTLE_AFTER_S = 45.0


class Counters(Struct):
    """What the ledger did since it was opened. Each field has one writer: (l)oop or (w)riter."""

    rows_recorded: int = 0  # l
    rows_lost: int = 0  # l: neither journal nor memory had room; w: still in memory at the end
    journal_errors: int = 0  # l: appends that failed, whose rows went to memory
    rows_written: int = 0  # w: recorded by this process and committed
    rows_rejected: int = 0  # w: moved to rejected.txt, because the database refuses them for good
    rows_recovered: int = 0  # w: offered from the journals of dead processes
    rows_unsettled: int = 0  # w: offered from the holds of dead processes, as unsettled rows
    rows_torn: int = 0  # w: cut off by the death of their process, before their record() returned
    commits: int = 0  # w
    commit_seconds: float = 0.0  # w: sum over the commits of rows
    commit_errors: int = 0  # w: failed tries; the rows stayed in the journal
    poll_errors: int = 0  # w: looks for changed keys that failed
    tidy_errors: int = 0  # w: looks for what is left behind that failed
    log_cuts: int = 0  # w: the database's log was cut back; readers had kept it from that
    log_cuts_missed: int = 0  # w: the same in vain, because a read went on
    holds_missed: int = 0  # l: attempts that a crash would have forgotten

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
    holds: Holds
    keys: KeyTable  # replaced by the writer's thread, read by anybody
    pepper: bytes

    def __init__(self, data_dir: Path, place: Place, clock: Clock, pepper: bytes | None) -> None:
        self.counters = Counters()
        self.spare: deque[UsageRow] = deque()  # the loop appends, the writer's thread removes
        self.commits = Condition("usage_commits")
        self.polls = Condition("key_polls")
        self.tidying = Condition("ledger_tidying")
        self._cutting = Condition("database_log_cuts")
        self._cut_at_s = 0.0  # monotonic
        self._holding = Condition("usage_holds")
        self._tidy_at_s = 0.0  # monotonic
        self._given_pepper = pepper
        self._data_dir = data_dir
        self._folder = data_dir / "journal"
        self.place = place
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
        now_s = self._clock.monotonic_s()
        if now_s >= self._cut_at_s:
            self._cut_log(database, now_s)
        if now_s >= self._tidy_at_s:
            self._tidy_at_s = now_s + TIDY_S
            self._tidy(database)

    def _start(self) -> Database:
        # One by one: of a folder with parents, mkdir keeps others out of the last alone.
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.place.path is not None:
            self.place.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._given_pepper is None:
            self.pepper = pepper.read_or_create(self._data_dir / "pepper")
        else:
            self.pepper = pepper.checked(self._given_pepper, "pepper")
        with ExitStack() as cleanup:
            # Two processes that switch a new file to WAL at once fail without any patience.
            with _alone(self._data_dir / "opening.lock"):
                database = self.place.open(writes=True)
                cleanup.callback(database.close)
                database.migrate(queries.migrations(), self._clock.unix_s())
                pepper.bind(database, self.pepper)
            self._recover(database)
            self.keys = keys.load(database, self.pepper, self._clock.unix_s())
            self.journal = journal.Journal(self._folder, journal.FILE_BYTES, journal.FILE_BYTES_MAX)
            self.holds = holds.Holds(self._folder, holds.SLOTS, holds.SLOTS_MAX, self._not_held)
            cleanup.pop_all()
        return database

    def _recover(self, database: Database) -> None:
        def commit(data: bytes) -> None:
            self._store(database, journal.decode(data))

        def commit_holds(owner: str, data: bytes) -> None:
            if data:
                commit(data)
            claims.drop_owner(database, owner)

        # What is over first: most of what a dead process held, it had recorded as well.
        recovered = journal.recover(self._folder, commit)
        self.counters.rows_recovered += recovered.lines
        self.counters.rows_torn += recovered.torn
        self.counters.rows_unsettled += holds.recover(self._folder, commit_holds)

    def _tidy(self, database: Database) -> None:
        try:
            self._recover(database)
            now_s = self._clock.unix_s()
            usage.settle(database, now_s - SETTLE_AFTER_S)
            claims.drop_expired(database, now_s)
        except (LedgerUnavailable, OSError) as error:
            self.counters.tidy_errors += 1
            self.tidying.failed(str(error))
        else:
            self.tidying.works()

    def _cut_log(self, database: Database, now_s: float) -> None:
        # SQLite begins its log anew when a commit finds nobody reading. With several processes that may be never,
        # and a checkpoint that waits for those who read now ends it: whoever comes meanwhile reads the file alone.
        size = database.log_bytes()
        if size <= LOG_BYTES_MAX:
            return
        try:
            is_cut = database.overwrite(READERS_S)
        except LedgerUnavailable:
            is_cut = False
        if is_cut:
            self.counters.log_cuts += 1
            self._cutting.works()
            return
        # Commits wait meanwhile, so it is not tried all the time.
        self._cut_at_s = now_s + TIDY_S
        self.counters.log_cuts_missed += 1
        self._cutting.failed(
            f"The log beside the database has {size >> 20} MB and grows until a read that goes on has ended."
        )

    def _not_held(self, reason: str) -> None:
        self.counters.holds_missed += 1
        self._holding.failed(reason)  # once: one is enough to look after it

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
        refused = usage.insert(database, found.rows, self._clock.unix_s()) if found.rows else []
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
