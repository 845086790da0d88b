"""A running gateway before a running fake provider, and one with a registry: what stories begin with."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec import Struct

import registry_play
from api import api
from gatemill.fake_provider import server as fake_provider
from gatemill.fake_provider.server import FakeProvider
from house_for_tests import Opened, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONFIG = """
[providers.open]
kind = "openai"
base_url = "{fake}/v1"
api_key = "sk-upstream-open"
timeout = {{ connect_s = 30, first_token_s = 30, between_chunks_s = 30, total_s = 60 }}

[providers.claude]
kind = "anthropic"
base_url = "{fake}"
api_key = "sk-ant-upstream"

[providers.chatonly]
kind = "openai"
base_url = "{fake}/v1"
api_key = "sk-upstream-chat"
native = ["chat", "embeddings"]

[models.fast]
targets = ["open/fake"]
[models.sonnet]
targets = ["claude/fake"]
[models.limited]
targets = ["chatonly/fake"]
[models.brittle]
targets = ["open/fake+status=503"]
fallbacks = ["fast"]

[prices."open/fake"]
input = 1.0
output = 2.0
[prices."claude/fake"]
input = 3.0
output = 15.0
[prices."claude/fake+cached"]
input = 3.0
output = 15.0
cache_read = 0.3
cache_write = 4.0
cache_write_1h = 6.0
"""


class Town(Struct):
    """What a story talks to."""

    gate: Opened
    fake: FakeProvider

    @property
    def v1(self) -> str:
        return f"{self.gate.url}/v1"

    @property
    def key(self) -> str:
        return self.gate.key

    async def rows(self):
        """All ledger rows, newest first."""
        await self.gate.home.ledger.flushed()
        return await self.gate.home.ledger.recent(1000)


@asynccontextmanager
async def town_in(tmp_path: Path, more: str = "") -> AsyncIterator[Town]:
    fake = await fake_provider.start("127.0.0.1", 0)
    try:
        async with opened(tmp_path, CONFIG.format(fake=fake.url) + more) as gate:
            yield Town(gate=gate, fake=fake)
    finally:
        await fake.stop()


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with town_in(tmp_path) as running:
        yield running


@pytest.fixture
async def gate(tmp_path):
    """A house for a registry, with a worker in it; stories of something else have one of their own."""
    async with opened(tmp_path, registry_play.CONFIG, works=True) as running:
        yield running


@pytest.fixture
async def ask(gate):
    """Asks it, with the admin key."""
    async with api(gate) as asking:
        yield asking
