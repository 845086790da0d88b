"""A provider of its own for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gatemill.fake_provider.server import FakeProvider, start


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    running = await start("127.0.0.1", 0)
    yield running
    await running.stop()
