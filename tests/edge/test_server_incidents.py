"""The server looks for incidents again and again, whatever becomes of one look."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from gatemill.core.tasks import spawn
from gatemill.edge.server import _watch


class Watchman:
    """Fails at its first looks, and never ends its last one."""

    def __init__(self) -> None:
        self.failures = 0
        self.looks = 0
        self.enough = asyncio.Event()
        self.cancelled = False

    async def look(self, home, *, config_refused: bool) -> None:
        assert config_refused
        self.looks += 1
        if self.looks <= 3:
            raise ZeroDivisionError
        self.enough.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def test_a_look_that_breaks_is_counted_and_the_next_one_is_made():
    watchman = Watchman()
    reloader = SimpleNamespace(
        settings=SimpleNamespace(alerts=SimpleNamespace(every_s=0.001)),
        refused=True,
        home=SimpleNamespace(lasting=SimpleNamespace(watchman=watchman)),
    )
    task = spawn(_watch(reloader), "watch")
    async with asyncio.timeout(60):
        await watchman.enough.wait()
    assert watchman.failures == 3
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()
    await asyncio.sleep(0)
    assert watchman.cancelled
