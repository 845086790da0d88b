"""What the writer's thread sees to by itself; tests/ledger/test_ledger.py and its neighbours are the rest."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

import databases
import readers
from crews import until
from gatemill.core.clock import FakeClock
from gatemill.ledger import queries, upkeep
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.place import Place
from gatemill.ledger.upkeep import TIDY_S
from usage_rows import usage_row

NOW_S = 1_763_700_000.0
BOUND = 1 << 20
PATIENCE_S = 60.0
LOOK_S = 0.01  # between two looks at what tells nobody when it changes
LOOK = queries.literal("look", "SELECT count(*) AS facts FROM facts")


@pytest.fixture
def clock():
    return FakeClock(NOW_S)


@pytest.fixture
def place(tmp_path):
    return Place(path=tmp_path / "gatemill.db")


@pytest.fixture
async def ledger(tmp_path, place, clock, monkeypatch):
    monkeypatch.setattr(upkeep, "LOG_BYTES_MAX", BOUND)
    databases.lay(tmp_path)
    opened = Ledger.open(tmp_path, place.address, clock)
    yield opened
    await opened.close()


async def grown(ledger, place, batch):
    """The log has more than the bound, by so many batches."""
    while log_bytes(place) <= BOUND:
        for number in range(200):
            ledger.record(usage_row(f"{batch}-{number}", at=NOW_S))
        await ledger.flushed()
        batch += 1
    return batch


def log_bytes(place):
    return place.path.with_name("gatemill.db-wal").stat().st_size


async def test_a_log_that_grew_is_cut_back_while_others_read(ledger, place, clock):
    with readers.always(place):
        batch = 0
        for _ in range(3):
            cuts = ledger.counters.log_cuts
            async with asyncio.timeout(PATIENCE_S):
                batch = await grown(ledger, place, batch)
                while log_bytes(place) > BOUND or ledger.counters.log_cuts == cuts:
                    clock.advance(TIDY_S)  # on a busy machine it may take a second try
                    await asyncio.sleep(LOOK_S)


async def test_one_read_that_goes_on_is_told_and_the_log_is_cut_after_it(ledger, place, clock):
    with closing(place.open(writes=False)) as reader:
        with reader.snapshot():
            reader.rows(LOOK)
            await grown(ledger, place, 0)
            await until(lambda: ledger.counters.log_cuts_missed, "it was tried")
            assert log_bytes(place) > BOUND
        clock.advance(TIDY_S)
        await until(lambda: ledger.counters.log_cuts, "the log was cut")
    assert log_bytes(place) < BOUND
