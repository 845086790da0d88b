"""The SQLite driver: one connection and its promises. Rule: a connection stays in the thread that made it.

WAL lets readers work beside the writer. `synchronous=FULL` makes a commit survive a power cut; its
price, one fsync, is shared by all rows of a batch (`writer.py`).
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatemill.core.errors import InvalidValue, LedgerUnavailable
from gatemill.ledger import queries, schema
from gatemill.ledger.database import LOG_BYTES_MAX, NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gatemill.ledger.queries import Migration, Query

BUSY_MS = 5_000  # patience with a lock that another process holds
TRY_MS = 25  # the same, of one try to empty the log
READER_PAGES_KIB = 512  # of the database, that a connection which only reads may keep
BLOCK_ROWS = (200, 20, 1)  # rows of one INSERT; 200 usage rows are 4,600 of SQLite's 32,766 values

_LIST_COLUMNS = queries.load("catalog")["sqlite_columns"]

# What SQLite and its binding say of a value that does not fit, as opposed to a failing database.
_VALUE_FAULTS = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError, UnicodeEncodeError)


class Database:
    """An open connection. Every failure of SQLite leaves as a GatemillError."""

    def __init__(self, path: Path, *, writes: bool) -> None:
        """Connected to the file, which is created when `writes`."""
        self._path = path
        with self._translated("open"):
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MS / 1000)
            self._connection.row_factory = _as_dict
            self._connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            self._connection.execute("PRAGMA foreign_keys = ON")
            if writes:
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = FULL")
                self._connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES_MAX}")
                # What is deleted is overwritten with zeros, also where a page of it becomes free: nothing
                # for small rows, 65 us of CPU for one of 20 kB (SQLite 3.40, 2 cores, 2026-11-21).
                self._connection.execute("PRAGMA secure_delete = ON")
            else:
                self._connection.execute("PRAGMA query_only = ON")
                # There are several, and each would come to hold 2 MB of pages, most of which the system
                # holds as well.
                self._connection.execute(f"PRAGMA cache_size = -{READER_PAGES_KIB}")

    def rows(self, query: Query, params: Mapping[str, Any] = NOTHING) -> list[dict[str, Any]]:
        """All rows of a query that bounds its own result."""
        with self._translated(query.name):
            return self._connection.execute(query.question, _bound(query, params)).fetchall()

    def run(self, query: Query, params: Mapping[str, Any] = NOTHING) -> int:
        """The number of rows that the statement changed."""
        with self._translated(query.name):
            return self._connection.execute(query.question, _bound(query, params)).rowcount

    def run_many(self, query: Query, rows: Sequence[tuple[Any, ...]]) -> int:
        """The number of rows changed by an INSERT of all `rows`, which follow `query.params`.

        Rows go in blocks, one statement each: SQLite then works on a block without Python's lock.
        One statement a row would take the lock back after each, and stop the event loop every time
        (a third of all CPU under load; 2 cores, Python 3.11, 2026-11-21).
        """
        changed = at = 0
        with self._translated(query.name):
            for size in BLOCK_ROWS:
                statement = query.repeated(size)
                while len(rows) - at >= size:
                    values = list(chain.from_iterable(rows[at : at + size]))
                    changed += self._connection.execute(statement, values).rowcount
                    at += size
        return changed

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable after the block; the write lock is taken at once."""
        with self._translated("begin"):
            # Taking the lock late fails at once when another process wrote in between, without
            # the patience of busy_timeout.
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._translated("commit"):
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                with self._translated("rollback"):
                    self._connection.execute("ROLLBACK")

    def migrate(self, steps: list[Migration], now_s: float) -> int:
        """The schema's version, which is then that of this code; a step is applied wholly or not.

        Raises LedgerUnavailable when the database is newer than the code.
        """
        with self.transaction():
            return schema.apply(self, steps, now_s, str(self._path))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads in the block see the database as it was at the first of them."""
        with self._translated("begin"):
            self._connection.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            with self._translated("rollback"):
                self._connection.execute("ROLLBACK")

    def batches(self, query: Query, size: int) -> Iterator[list[dict[str, Any]]]:
        """The rows of a query without parameters, at most `size` at a time; inside `snapshot`."""
        with self._translated(query.name):
            cursor = self._connection.execute(query.question)
        while True:
            with self._translated(query.name):
                found = cursor.fetchmany(size)
            if not found:
                return
            yield found

    def tables(self) -> dict[str, dict[str, str]]:
        """The declared type of every column of every table, in small letters, both in order."""
        found: dict[str, dict[str, str]] = {}
        for row in self.rows(_LIST_COLUMNS):
            found.setdefault(row["table_name"], {})[row["column_name"]] = row["kind"]
        return found

    def log_bytes(self) -> int:
        """The size of the log file; 0 when there is none."""
        try:
            return Path(f"{self._path}-wal").stat().st_size
        except OSError:
            return 0

    def overwrite(self, wait_s: float) -> bool:
        """Whether what was deleted is in no file any more: the log, which had it, is empty.

        False where another connection reads for longer than `wait_s`. Who begins to read meanwhile is not waited
        for; who would write waits, in other processes for a part of it.
        """
        with self._translated("checkpoint"):
            self._connection.execute(f"PRAGMA busy_timeout = {TRY_MS}")
            try:
                return any(self._folds() for _ in range(int(wait_s * 1_000 / TRY_MS)))
            finally:
                self._connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")

    def _folds(self) -> bool:
        # One long try would wait in vain for a place in the log that reader after reader takes up. Between two short
        # ones nothing is written here: whoever began to read before is gone in the end, and who comes then has all
        # that is in the log, or needs only the file.
        found = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return bool(found["busy"] == 0)

    def close(self) -> None:
        """The file is released; the last one to leave folds the log into the database."""
        with self._translated("close"):
            self._connection.close()

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except _VALUE_FAULTS as error:
            raise InvalidValue(
                "The ledger refuses a value that does not fit its column or is there already.",
                param=doing,
            ) from error
        except sqlite3.Error as error:
            raise LedgerUnavailable(
                f"The database {self._path} cannot be used ({_kind(error)}). Check that the disk"
                " has space, that this user may write there, and that no other program holds a"
                " lock on it.",
                retry_after_s=1.0,
            ) from error


def _bound(query: Query, params: Mapping[str, Any]) -> list[Any]:
    return [params[name] for name in query.params]


def _as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


def _kind(error: sqlite3.Error) -> str:
    # SQLite's name of the failure, such as SQLITE_FULL: never the text, which may quote a value.
    name = error.sqlite_errorname if hasattr(error, "sqlite_errorname") else None
    return name or type(error).__name__
