"""A gateway's decorators under a clock that a test moves by hand: a pause moves it, and takes no time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from msgspec import Struct
from msgspec.structs import replace

import databases
from gatemill import house
from gatemill.core.clock import FakeClock
from gatemill.library.functions import Functions
from gateway_parts import Kept, numbers
from settings_files import loaded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ECHO = '[providers.echo]\n[models.m]\ntargets = ["echo/echo"]\n'


class Bench(Struct):
    """The decorators, and what stands behind them."""

    gm: Functions
    home: house.House
    clock: FakeClock
    pauses: list[float]

    def numbers(self) -> dict[str, float]:
        return numbers(self.home.gateway.meter)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    settings = loaded(tmp_path, ECHO, server__data_dir=str(tmp_path / "data"))
    clock = FakeClock(1_763_000_000.0)
    databases.lay(settings.settings.data_dir)
    ledger = house.open_ledger(settings.settings, clock)
    built = house.build(settings, ledger, clock, (Kept(), False))
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.advance(seconds)
        await asyncio.sleep(0)

    tries = replace(built.gateway.tries, sleep=sleep, rng=lambda: 0.5)
    home = replace(built, gateway=replace(built.gateway, tries=tries))
    try:
        yield Bench(Functions(home), home, clock, pauses)
    finally:
        await home.close()
