"""The Postgres driver: one connection and its promises. Rule: it stays in the thread that made it.

asyncpg speaks asyncio, the ledger's threads do not: each connection has an event loop of its own that
runs for the length of a call. A lost connection is made anew by the next call outside a transaction.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain, count
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from gatemill.core.errors import InvalidValue, LedgerUnavailable
from gatemill.ledger import queries, schema
from gatemill.ledger.database import NOTHING, postgres_shown

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Mapping, Sequence

    from gatemill.ledger.queries import Migration, Query

T = TypeVar("T")

CONNECT_S = 3.0
STATEMENT_S = 10.0  # after which the server itself gives up
ANSWER_S = 15.0  # after which a server that says nothing at all is taken for dead
MIGRATION_S = 600.0  # for a step on a large table, and for others that migrate first
BLOCK_ROWS = (
    200,
    20,
    1,
)  # rows of one INSERT; 200 usage rows are 6,200 of Postgres's 32,767 values
TURNS = 5  # of the loop; 30 us
_MIGRATION_LOCK = 0x67617465  # "gate": the advisory lock of whoever migrates

_LIST_COLUMNS = queries.load("catalog")["postgres_columns"]

# Classes of SQLSTATE that blame the statement's values: cardinality, data, integrity constraint.
_VALUE_FAULTS = ("21", "22", "23")
_REMEDIES = {
    "28P01": "Check user and password in stores.database.",
    "28000": "Check user and password in stores.database, and the server's pg_hba.conf.",
    "3D000": "Create the database with createdb, or name another one in stores.database.",
    "42501": "Grant the user of stores.database all rights on the schema of its database.",
    "53300": "It has no connection left; each Gatemill process holds four. Raise max_connections.",
}
_REMEDY = "Check that the server runs, can be reached from this host, and has room on its disk."


class Database:
    """An open connection. Every failure of asyncpg leaves as a GatemillError."""

    def __init__(self, url: str, *, writes: bool) -> None:
        """Connected to the server; a connection that does not write cannot."""
        self._url = url
        self._shown = postgres_shown(url)
        self._settings = {
            "application_name": "gatemill",
            "statement_timeout": str(int(STATEMENT_S * 1000)),
            "default_transaction_read_only": "off" if writes else "on",
        }
        self._loop = asyncio.new_event_loop()
        self._connection: asyncpg.Connection | None = None
        self._answer_s = ANSWER_S
        self._within = False  # a transaction, which a new connection could not go on with
        self._cursors = count()
        with ExitStack() as failed:
            failed.callback(self.close)
            self._do("open", self._connected())
            failed.pop_all()

    def rows(self, query: Query, params: Mapping[str, Any] = NOTHING) -> list[dict[str, Any]]:
        """All rows of a query that bounds its own result."""
        return self._fetch(query.name, query.dollar, _bound(query, params))

    def run(self, query: Query, params: Mapping[str, Any] = NOTHING) -> int:
        """The number of rows that the statement changed."""
        return _changed(self._execute(query.name, query.dollar, _bound(query, params)))

    def run_many(self, query: Query, rows: Sequence[tuple[Any, ...]]) -> int:
        """The number of rows changed by an INSERT of all `rows`, which follow `query.params`.

        Rows go in blocks, one statement each, as in SQLite: executemany does not say how many rows
        were new.
        """
        changed = at = 0
        for size in BLOCK_ROWS:
            statement = query.repeated_dollar(size)
            while len(rows) - at >= size:
                values = [_storable(value) for value in chain.from_iterable(rows[at : at + size])]
                changed += _changed(self._execute(query.name, statement, values))
                at += size
        return changed

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable after the block. After an error inside, the block must end."""
        self._execute("begin", "BEGIN")
        self._within = True
        try:
            yield
            if self._execute("commit", "COMMIT") != "COMMIT":
                # Postgres answers so, without an error, when a statement failed before.
                raise LedgerUnavailable("The transaction went on after an error and was undone.")
            self._within = False
        finally:
            self._undo()

    def migrate(self, steps: list[Migration], now_s: float) -> int:
        """The schema's version, which is then that of this code; a step is applied wholly or not.

        Raises LedgerUnavailable when the database is newer than the code.
        """
        self._answer_s = MIGRATION_S
        try:
            with self.transaction():
                self._execute("migrate", f"SET LOCAL statement_timeout = '{MIGRATION_S}s'")
                # One transaction at a time: CREATE TABLE IF NOT EXISTS is no protection from others.
                self._execute("migrate", f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
                return schema.apply(self, steps, now_s, self._shown)
        finally:
            self._answer_s = ANSWER_S

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads in the block see the database as it was at the first of them."""
        self._execute("begin", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self._within = True
        try:
            yield
        finally:
            self._undo()

    def batches(self, query: Query, size: int) -> Iterator[list[dict[str, Any]]]:
        """The rows of a query without parameters, at most `size` at a time; inside `snapshot`."""
        # A name is used once: asyncpg remembers the columns of a statement by its text.
        cursor = f"batches_{next(self._cursors)}"
        self._execute(query.name, f"DECLARE {cursor} NO SCROLL CURSOR FOR {query.dollar}")
        while found := self._fetch(query.name, f"FETCH FORWARD {size} FROM {cursor}"):
            yield found
        self._execute(query.name, f"CLOSE {cursor}")

    def tables(self) -> dict[str, dict[str, str]]:
        """The declared type of every column of every table, in small letters, both in order."""
        found: dict[str, dict[str, str]] = {}
        for row in self.rows(_LIST_COLUMNS):
            found.setdefault(row["table_name"], {})[row["column_name"]] = row["kind"]
        return found

    def log_bytes(self) -> int:
        """0: the server looks after its own log."""
        return 0

    def overwrite(self, wait_s: float) -> bool:
        """False: only VACUUM FULL, which locks its tables, writes them without what was deleted."""
        return False

    def close(self) -> None:
        """The connection is released, and so is the loop; a server that is away is not waited for."""
        if self._loop.is_closed():
            return
        with suppress(LedgerUnavailable):
            self._do("close", self._leave())
        self._loop.close()

    def _fetch(self, doing: str, text: str, args: Sequence[Any] = ()) -> list[dict[str, Any]]:
        async def fetch() -> list[dict[str, Any]]:
            connection = await self._connected()
            found = await connection.fetch(text, *args, timeout=self._answer_s)
            return [dict(row) for row in found]

        return self._do(doing, fetch())

    def _execute(self, doing: str, text: str, args: Sequence[Any] = ()) -> str:
        async def execute() -> str:
            connection = await self._connected()
            status: str = await connection.execute(text, *args, timeout=self._answer_s)
            return status

        return self._do(doing, execute())

    async def _connected(self) -> asyncpg.Connection:
        if not self._within:
            # The loop stood still since the last call. In a few turns it reads what a server says
            # that shuts down, and the end of the connection: then it is made anew, unnoticed.
            for _ in range(TURNS):
                await asyncio.sleep(0)
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        if self._within:
            raise LedgerUnavailable(
                f"The connection to the database {self._shown} was lost. Try again.",
                retry_after_s=1.0,
            )
        self._connection = await asyncpg.connect(
            self._url,
            timeout=CONNECT_S,
            server_settings=self._settings,
            max_cacheable_statement_size=0,  # no limit: an INSERT of 200 rows is prepared once
        )
        return self._connection

    async def _leave(self) -> None:
        if self._connection is not None and not self._connection.is_closed():
            try:
                await self._connection.close(timeout=CONNECT_S)
            finally:
                self._connection = None
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _undo(self) -> None:
        """No transaction is open. Where the server does not hear of it, the connection ends."""
        if not self._within:
            return
        with suppress(LedgerUnavailable):
            self._execute("rollback", "ROLLBACK")
        self._within = False

    def _do(self, doing: str, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._loop.run_until_complete(work)
        except asyncpg.PostgresError as error:
            state = error.sqlstate or ""
            if state[:2] in _VALUE_FAULTS:
                raise InvalidValue(
                    "The ledger refuses a value that does not fit its column or is there already.",
                    param=doing,
                ) from error
            raise self._unavailable(state or type(error).__name__) from error
        except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            # Of this connection nothing is known any more: not even whether it still works.
            if self._connection is not None:
                self._connection.terminate()
                self._connection = None
            raise self._unavailable(type(error).__name__) from error

    def _unavailable(self, kind: str) -> LedgerUnavailable:
        # Never the text of the server's message, which may quote a value.
        return LedgerUnavailable(
            f"The database {self._shown} cannot be used ({kind}). {_REMEDIES.get(kind, _REMEDY)}",
            retry_after_s=1.0,
        )


def _bound(query: Query, params: Mapping[str, Any]) -> list[Any]:
    return [_storable(params[name]) for name in query.dollar_params]


def _storable(value: Any) -> Any:
    # Postgres has no character 0, and a caller's model name may hold one: a row is worth more than it.
    return value.replace("\0", "\ufffd") if type(value) is str and "\0" in value else value


def _changed(status: str) -> int:
    # "INSERT 0 3", "UPDATE 3", "CREATE TABLE".
    number = status.rpartition(" ")[2]
    return int(number) if number.isdecimal() else 0
