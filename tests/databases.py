"""Databases of either kind, empty, for tests of the ledger."""

from __future__ import annotations

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

    On Postgres it has the present schema already, unless it is to be `bare`.
    """
    if kind == "sqlite":
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
