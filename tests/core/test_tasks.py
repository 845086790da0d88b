"""Background tasks: none vanishes, and a failure is heard of."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref

import pytest
from structlog.testing import capture_logs

from gatemill.core import tasks
from gatemill.core.tasks import begin, spawn


async def test_a_task_is_kept_while_it_runs_although_nobody_holds_it():
    go = asyncio.Event()
    ended = asyncio.Event()

    async def work() -> None:
        await go.wait()
        ended.set()

    kept = weakref.ref(spawn(work(), "work"))
    await asyncio.sleep(0)
    gc.collect()
    assert kept() in tasks._running
    go.set()
    await ended.wait()
    await asyncio.sleep(0)
    assert kept() not in tasks._running


async def test_a_failure_is_logged_with_the_tasks_name():
    async def work() -> None:
        raise ValueError("boom")

    with capture_logs() as lines:
        await asyncio.wait([spawn(work(), "flusher")])
        await asyncio.sleep(0)
    (line,) = lines
    assert (line["event"], line["task"], line["log_level"]) == ("task_failed", "flusher", "error")
    assert isinstance(line["exc_info"], ValueError)


async def test_a_task_that_is_cancelled_or_ends_well_says_nothing():
    async def work() -> None:
        await asyncio.Event().wait()

    async def done() -> None:
        pass

    with capture_logs() as lines:
        cancelled, well = spawn(work(), "a"), spawn(done(), "b")
        await well
        cancelled.cancel()
        await asyncio.wait([cancelled])
        await asyncio.sleep(0)
    assert lines == []
    assert not {cancelled, well} & tasks._running


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python starts tasks eagerly from 3.12 on")
async def test_work_that_somebody_waits_for_starts_at_once():
    steps = []

    async def work() -> None:
        steps.append("begun")

    await begin(work(), asyncio.get_running_loop())
    assert steps == ["begun"]


async def test_work_that_has_begun_ends_and_gives_its_failure_to_whoever_waits():
    async def work() -> None:
        await asyncio.sleep(0)
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        await begin(work(), asyncio.get_running_loop())
