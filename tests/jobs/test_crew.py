"""A crew that is told to end while a dead worker is to be replaced."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from gatemill.jobs import crew as crews
from gatemill.jobs.crew import Crew


async def for_ever(*_: object) -> None:
    await asyncio.Event().wait()


class Dead:
    """A worker that is taken for dead as soon as it works."""

    def __init__(self) -> None:
        self.running: dict[str, object] = {}
        self.worked = asyncio.Event()

    async def run(self) -> bool:
        self.worked.set()
        return False

    async def drain(self, _grace_s: float) -> None:
        pass


async def test_nobody_takes_the_place_of_a_dead_worker_once_the_crew_ends(monkeypatch):
    monkeypatch.setattr(crews, "AGAIN_S", 0.05)
    hired: list[Dead] = []

    def hire() -> Dead:
        hired.append(Dead())
        return hired[-1]

    services = SimpleNamespace(
        governor=SimpleNamespace(watch=for_ever), bell=SimpleNamespace(listen=for_ever)
    )
    crew = Crew(lambda: services, hire, None)
    crew.start()
    await hired[0].worked.wait()
    await asyncio.sleep(0)  # the crew has heard how it ended
    await asyncio.sleep(0)
    await crew.drain(0.0)
    assert len(hired) == 1
    assert crew.ended.is_set()
