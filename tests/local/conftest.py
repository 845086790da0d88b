"""The loop of the product, and a shelf whose engine is the test's own."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import uvloop

from gatemill.core.clock import FakeClock
from gatemill.local.shelf import Serving, Shelf
from shelf_play import MIB, Play


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def play(monkeypatch):
    """The engine `head`, in place of the real one."""
    found = Play()
    module = ModuleType("gatemill.local.runtimes.head")
    module.load = found.load
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return found


@pytest.fixture
async def clock() -> FakeClock:
    """The shelf's clock."""
    return FakeClock()


@pytest.fixture
async def shelf(play, clock):
    """A shelf with room for 100 MiB."""
    found = Shelf(clock, Serving(memory_bytes=100 * MIB))
    yield found
    await found.close()
