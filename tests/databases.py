"""Databases of either kind, empty, for tests of the ledger."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pgvector_service
import postgres_service
from gatemill.ledger import queries
from gatemill.ledger.database import Database
from gatemill.ledger.place import Place

KINDS = ("sqlite", "postgres")
PGVECTOR = "pgvector"  # a third kind, for what searches vectors
MADE_S = postgres_service.MADE_S


@contextmanager
def empty(kind: str, folder: Path, *, bare: bool = False) -> Iterator[Place]:
    """A place with a database in which nothing is, for as long as the block.

    It has the present schema already, unless it is to be `bare`.
    """
    if kind == "sqlite":
        if not bare:
            lay(folder)
        yield Place(path=folder / "gatemill.db")
        return
    if kind == PGVECTOR:
        database = pgvector_service.database
    else:
        database = postgres_service.database if bare else postgres_service.cleared
    with database() as url:
        yield Place(url=url)


@contextmanager
def migrated(place: Place) -> Iterator[Database]:
    """A writing connection to a database with the present schema."""
    opened = place.open(writes=True)
    try:
        opened.migrate(queries.migrations(), now_s=MADE_S)
        yield opened
    finally:
        opened.close()


def lay(folder: Path) -> None:
    """The folder has the database that the first opening would make: 30 ms of CPU that a copy does not take.

    Nothing changes where there is one.
    """
    path = folder / "gatemill.db"
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(_first())


@functools.cache
def _first() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        place = Place(path=Path(folder) / "gatemill.db")
        with migrated(place):
            pass
        return place.path.read_bytes()
