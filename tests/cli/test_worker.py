"""`gatemill worker`: what it accepts, and the table on a terminal."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

from rich.console import Console

from cli_run import Command, process
from crews import reached, submit, until, working
from gatemill.cli.crew_table import lines_of, show, table_of


def test_an_unknown_queue_is_refused_with_those_there_are(tmp_path: Path):
    result = process("worker", "--queues", "high,infrence", cwd=tmp_path)
    assert result.code == 2
    assert "There is no queue infrence. Priorities: high, default, low. Queues: " in result.err
    assert "inference" in result.err
    assert "fix: correct --queues" in result.err


def test_no_slots_are_too_few(gatemill: Command):
    assert gatemill("worker", "--slots", "0").code == 2


def test_a_worker_for_jobs_whose_workers_died_ends_when_there_are_none(tmp_path: Path):
    assert process("worker", "--quarantine", cwd=tmp_path).code == 0


async def test_the_table_says_what_runs_and_what_waits(tmp_path: Path):
    async with working(tmp_path) as site:
        config_slots = site.home.jobs.counters.slots
        (done,) = await submit(site.services, "sleep")
        await reached(site.services, done, {"succeeded"})
        (running,) = await submit(site.services, "sleep", seconds=60.0)
        await reached(site.services, running, {"running"})
        await site.services.ledger.jobs.pause("inference", paused=True)
        await submit(site.services, "sleep", count=3)
        depths = await site.services.ledger.jobs.depths()
        lines = lines_of(site.home, site.crew, depths, {"inference": 0})
        (line,) = [each for each in lines if each.queue == "inference"]
        assert (line.running, line.waiting, line.done, line.dead) == (1, 3, 1, 0)
        assert line.per_minute == 60.0
        out = io.StringIO()
        Console(file=out, width=100).print(table_of(lines, config_slots))
        assert f"1 of {config_slots} slots" in out.getvalue()


async def test_the_table_is_drawn_until_it_is_told_to_stop(tmp_path: Path):
    out = io.StringIO()
    async with working(tmp_path) as site:
        screen = Console(file=out, width=100, force_terminal=True)
        drawing = asyncio.ensure_future(show(site.home, site.crew, screen))
        await until(lambda: "per minute" in out.getvalue(), "it is drawn")
        drawing.cancel()
        await asyncio.wait([drawing])
    assert "inference" in out.getvalue()
