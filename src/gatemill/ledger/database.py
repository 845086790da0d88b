"""What a database of the ledger is: its operations, its address, its drivers.

Rule: the rest of the room knows these names only. `sqlite.py` and `postgres.py` satisfy `Database`;
tests/contract/test_database.py says what they have in common.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from gatemill.core.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from gatemill.ledger.queries import Migration, Query

SQLITE_PREFIX = "sqlite:///"
POSTGRES_PREFIXES = ("postgresql://", "postgres://")

NOTHING: Mapping[str, Any] = {}


class Database(Protocol):
    """An open connection; it stays in the thread that made it.

    Every failure leaves as InvalidValue (the value does not fit) or LedgerUnavailable (the database
    does not work now); neither names a value or a password. After LedgerUnavailable the next call
    may work again.
    """

    def rows(self, query: Query, params: Mapping[str, Any] = NOTHING) -> list[dict[str, Any]]:
        """All rows of a query that bounds its own result."""
        ...

    def run(self, query: Query, params: Mapping[str, Any] = NOTHING) -> int:
        """The number of rows that the statement changed."""
        ...

    def run_many(self, query: Query, rows: Sequence[tuple[Any, ...]]) -> int:
        """The number of rows changed by an INSERT of all `rows`, which follow `query.params`."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, durable after the block. After an error inside, the block must end."""
        ...

    def migrate(self, steps: list[Migration], now_s: float) -> int:
        """The schema's version, which is then that of this code; a step is applied wholly or not.

        Several processes may do it at once. Raises LedgerUnavailable when the database is newer.
        """
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """All reads in the block see the database as it was at the first of them."""
        ...

    def batches(self, query: Query, size: int) -> Iterator[list[dict[str, Any]]]:
        """The rows of a query without parameters, at most `size` at a time; inside `snapshot`."""
        ...

    def tables(self) -> dict[str, dict[str, str]]:
        """The declared type of every column of every table, in small letters, both in order."""
        ...

    def close(self) -> None:
        """The connection is released."""
        ...


class Place(Struct, frozen=True):
    """Where a database lies. Exactly one of the two is set."""

    path: Path | None = None  # an SQLite file
    url: str = ""  # of a Postgres server, with its password

    def open(self, *, writes: bool) -> Database:
        """An open connection. Raises LedgerUnavailable, and InvalidValue for a missing driver."""
        if self.path is not None:
            from gatemill.ledger import sqlite  # noqa: PLC0415 - a driver is loaded when needed

            return sqlite.Database(self.path, writes=writes)
        try:
            from gatemill.ledger import postgres  # noqa: PLC0415 - and asyncpg with it
        except ModuleNotFoundError as error:
            raise InvalidValue(
                'Postgres needs another package: pip install "gatemill[postgres]".',
                param="stores.database",
            ) from error

        return postgres.Database(self.url, writes=writes)

    @property
    def address(self) -> str:
        """What `stores.database` says for it; with the password."""
        return self.url if self.path is None else f"{SQLITE_PREFIX}{self.path.absolute()}"

    @property
    def shown(self) -> str:
        """The address for people, without a password."""
        if self.path is not None:
            return f"{SQLITE_PREFIX}{self.path}"
        rest = self.url.partition("://")[2]
        address, _, options = rest.partition("?")
        credentials, at, server = address.rpartition("@")
        if "@" in options:
            return "postgresql://…"  # an @ or a ? in the password: nothing can be told apart
        return f"postgresql://{credentials.partition(':')[0]}{at}{server}"


def locate(data_dir: Path, url: str | None) -> Place:
    """Where `stores.database` says: by default gatemill.db in the data directory.

    A relative path is relative to the data directory. Raises InvalidValue.
    """
    if not url:
        return Place(path=data_dir / "gatemill.db")
    if url.startswith(POSTGRES_PREFIXES):
        return Place(url=url)
    path = url.removeprefix(SQLITE_PREFIX)
    if path == url or not path:
        raise InvalidValue(
            "stores.database must look like sqlite:///gatemill.db or"
            " postgresql://user:password@host/database. Leave it out to keep the ledger in the data"
            " directory.",
            param="stores.database",
        )
    return Place(path=data_dir / path)
