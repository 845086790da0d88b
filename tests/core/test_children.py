from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
import uvloop

from gatemill.core import children

CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children")


def ours() -> set[str]:
    """Processes that this thread has started: those that run, and those nobody has waited for."""
    return set(CHILDREN.read_text().split())


async def called_off(turns: int) -> None:
    """The start is cancelled that many turns of the loop after it began, unless it was quicker."""
    before = ours()
    task = asyncio.ensure_future(children.start("cat", stdin=asyncio.subprocess.PIPE))
    for _ in range(turns):
        await asyncio.sleep(0)
    if task.cancel():
        await asyncio.wait([task])
        assert task.cancelled()
    else:
        child = await task
        child.kill()
        await child.wait()
    assert ours() == before


@pytest.mark.skipif(not CHILDREN.exists(), reason="the system does not list children")
@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop])
@pytest.mark.parametrize("turns", range(8))
def test_a_start_that_is_called_off_has_ended_its_process(loop, turns):
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(called_off(turns))


async def test_what_cannot_be_run_is_said():
    with pytest.raises(FileNotFoundError, match="no-such-command"):
        await children.start("no-such-command")
