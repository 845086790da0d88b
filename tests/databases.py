"""Databases of either kind, empty, for tests of the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import postgres_service
from gatemill.ledger import queries
from gatemill.ledger.database import Database
from gatemill.ledger.place import Place

KINDS = ("sqlite", "postgres")
MADE_S = 1_000_000.0


@contextmanager
def empty(kind: str, folder: Path) -> Iterator[Place]:
    """A place with an empty database, for as long as the block."""
    if kind == "sqlite":
        yield Place(path=folder / "gatemill.db")
        return
    with postgres_service.database() as url:
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
