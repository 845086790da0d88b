"""Where the ledger's database lies, and the driver that opens it. Rule: a driver is loaded when needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.core.errors import InvalidValue
from gatemill.ledger.database import postgres_shown

if TYPE_CHECKING:
    from gatemill.ledger.database import Database

SQLITE_PREFIX = "sqlite:///"
POSTGRES_PREFIXES = ("postgresql://", "postgres://")


class Place(Struct, frozen=True):
    """Where a database lies. Exactly one of the two is set."""

    path: Path | None = None  # an SQLite file
    url: str = ""  # of a Postgres server, with its password

    def open(self, *, writes: bool) -> Database:
        """An open connection. Raises LedgerUnavailable, and InvalidValue for a missing driver."""
        if self.path is not None:
            from gatemill.ledger import sqlite

            return sqlite.Database(self.path, writes=writes)
        try:
            from gatemill.ledger import postgres  # and asyncpg with it
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
        return f"{SQLITE_PREFIX}{self.path}" if self.path is not None else postgres_shown(self.url)


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
