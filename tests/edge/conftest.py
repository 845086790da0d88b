"""The loop of the product, and a house with a fake provider behind it."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
import uvloop

from api import api
from gatemill.fake_provider import server as fake_provider
from held_provider import Held
from house_for_tests import opened

CONFIG = """
[models.echo]
targets = ["echo/echo"]
[providers.up]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream-key"
[providers.claude]
kind = "anthropic"
base_url = "{url}"
api_key = "sk-ant-upstream"
"""


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def fake():
    """The provider behind `up/...` and `claude/...`."""
    provider = await fake_provider.start("127.0.0.1", 0)
    yield provider
    await provider.stop()


@pytest.fixture
async def held():
    """A provider that keeps the second half of its answers until it is told to go on."""
    async with Held() as provider:
        yield provider


@pytest.fixture
async def house(tmp_path, fake):
    """Opens a house; the argument is more TOML."""
    async with AsyncExitStack() as stack:

        async def start(more: str = ""):
            config = CONFIG.format(url=fake.url) + more
            return await stack.enter_async_context(opened(tmp_path, config))

        yield start


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory):
    """A house for a module whose tests only ask it, and the provider behind it.

    Such a module runs in one loop, and has its own `house`, `gate` and `fake`.
    """
    provider = await fake_provider.start("127.0.0.1", 0)
    config = CONFIG.format(url=provider.url)
    async with opened(tmp_path_factory.mktemp("place"), config) as running:
        yield running, provider
    await provider.stop()


@pytest.fixture
async def gate(house):
    """A house with the usual settings."""
    return await house()


@pytest.fixture
async def ask(gate):
    """Asks the control routes, with the admin key."""
    async with api(gate) as asking:
        yield asking
