"""The loop of the product, every transport there is, and jobs in every database."""

from __future__ import annotations

import pytest
import uvloop

import databases
from gatemill.fake_provider import server as fake_provider
from jobs_ledger import Hand, site
from transports import KINDS, Bench


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def fake():
    """A fake provider on a port of its own."""
    provider = await fake_provider.start("127.0.0.1", 0)
    yield provider
    await provider.stop()


@pytest.fixture(params=KINDS)
async def bench(request):
    """Makes transports of one kind, and closes them."""
    made = Bench(request.param)
    yield made
    await made.close()


@pytest.fixture(params=databases.KINDS)
def place(request, tmp_path):
    """An empty database of either kind."""
    with databases.empty(request.param, tmp_path) as found:
        yield found


@pytest.fixture
async def here(place, tmp_path):
    """The database, a clock, and as many processes as a test opens."""
    async with site(place, tmp_path) as found:
        yield found


@pytest.fixture
async def jobs(here):
    """The jobs of one process."""
    return await here.jobs()


@pytest.fixture
async def hand(here, jobs):
    """A worker."""
    return await Hand.enrolled(here, jobs, "w1")
