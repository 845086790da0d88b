"""A quarantine that is closed while its child begins. What it runs: test_worker_processes.py."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from children import arguments_of_all
from gatemill.jobs.counters import Counters
from gatemill.jobs.quarantine import Quarantine

if TYPE_CHECKING:
    from pathlib import Path


async def waits(_queue: str) -> bool:
    return True


@pytest.mark.parametrize("turns", range(4))
async def test_a_child_that_begins_while_the_quarantine_closes_hears_of_it(
    tmp_path: Path, turns: int
):
    file = tmp_path / "file"
    file.touch()
    services = SimpleNamespace(ledger=SimpleNamespace(jobs=SimpleNamespace(waits=waits)))
    command = ("tail", "-f", str(file))  # until it is told to end
    quarantine = Quarantine(command, Counters(), lambda: services)
    await quarantine.look()
    for _ in range(turns):
        await asyncio.sleep(0)
    await quarantine.close(30.0)
    assert str(file).encode() not in arguments_of_all()
