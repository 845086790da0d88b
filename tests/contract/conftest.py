"""The loop of the product, and every transport there is."""

from __future__ import annotations

import pytest
import uvloop

from gatemill.fake_provider import server as fake_provider
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
