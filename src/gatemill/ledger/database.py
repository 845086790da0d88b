"""What a database of the ledger can do. Rule: the room knows this Protocol, and no driver.

`sqlite.py` and `postgres.py` satisfy it; tests/contract/test_database.py says what they have in common.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from gatemill.ledger.queries import Migration, Query

NOTHING: Mapping[str, Any] = {}
LOG_BYTES_MAX = 64 << 20  # of changes that wait beside an SQLite file; a longer log is cut back


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

    def log_bytes(self) -> int:
        """The size of the log of changes beside the file; 0 where a server sees to it."""
        ...

    def overwrite(self, wait_s: float) -> bool:
        """Whether what was deleted is in no file of the database any more.

        False where a reader is in the way for longer than `wait_s`, and where only the server can see to it.
        """
        ...

    def close(self) -> None:
        """The connection is released."""
        ...


def postgres_shown(url: str) -> str:
    """The address of a server for people, without a password."""
    address, _, options = url.partition("://")[2].partition("?")
    credentials, at, server = address.rpartition("@")
    if "@" in options:
        return "postgresql://…"  # an @ or a ? in the password: nothing can be told apart
    return f"postgresql://{credentials.partition(':')[0]}{at}{server}"
