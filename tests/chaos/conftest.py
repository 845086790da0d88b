"""The loop of the product, a fake provider, and what a proof says of itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import uvloop

from gatemill.fake_provider import server as fake_provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gatemill.fake_provider.server import FakeProvider


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    """The provider behind every model of a test."""
    provider = await fake_provider.start("127.0.0.1", 0)
    yield provider
    await provider.stop()


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints a line of figures where somebody watches: with `-n 0`, as docs/guides/prove-it.md says."""

    def told(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {line}")
            sys.stdout.flush()

    return told
