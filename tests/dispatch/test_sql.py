"""Without a broker the workers of one process hear each other."""

from __future__ import annotations

from gatemill.dispatch.sql import SqlBell
from listener import Listener, listening, rings


async def test_the_workers_of_this_process_are_told():
    bell, ears = SqlBell(), Listener()
    assert await bell.open()
    await bell.ring(rings(1))
    assert not ears.looks, "nobody listened"
    async with listening(bell, ears):
        looks = ears.looks
        await bell.ring(rings(3))
        assert ears.looks == looks + 1
        await bell.ring([])
        assert ears.looks == looks + 1
        await bell.call_off("job_1")
        assert ears.cancelled == ["job_1"]
        assert await bell.waiting() is None
    looks = ears.looks
    await bell.ring(rings(1))
    assert ears.looks == looks, "it listens no longer"
    await bell.close()
    assert (bell.lost, bell.POLL_S) == (0, None)
