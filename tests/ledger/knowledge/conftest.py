"""Ledgers of every kind that searches differently, with a store each."""

from __future__ import annotations

import pytest

import databases
from gatemill.core.clock import FakeClock
from gatemill.ledger.ledger import Ledger

KINDS = (*databases.KINDS, databases.PGVECTOR)


@pytest.fixture(params=KINDS)
def place(request, tmp_path):
    """An empty database: SQLite, Postgres without pgvector, Postgres with it."""
    with databases.empty(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def clock():
    return FakeClock(1_763_700_000.0)


@pytest.fixture
async def ledger(place, tmp_path, clock):
    opened = Ledger.open(tmp_path, place.url or None, clock)
    yield opened
    await opened.close()
