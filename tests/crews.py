"""Jobs for tests of whatever runs them: hand one in, and wait for what becomes of it."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

import databases
import kind_play
from gatemill import house
from gatemill.core.clock import SystemClock
from gatemill.core.job import FINAL, Ring
from gatemill.jobs.making import new_job
from gatemill.observe.lines import LineWriter
from gatemill.settings.source import Draft, Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from gatemill.core.clock import Clock
    from gatemill.core.job import Full
    from gatemill.jobs.crew import Crew
    from gatemill.jobs.services import Services
    from gatemill.jobs.worker import Worker

PLAY = '[jobs]\nkinds = ["kind_play"]\n'
WHOLE = house.Shift()
PATIENCE_S = 60.0  # the machine may be busy with other tests


class Site(Struct):
    """A house without a door, and those who run its jobs."""

    home: house.House
    crew: Crew

    @property
    def services(self) -> Services:
        return self.home.jobs.services

    @property
    def worker(self) -> Worker:
        assert self.crew.worker is not None
        return self.crew.worker

    def hire(self, shift: house.Shift) -> Crew:
        """Another crew in the same process, not started."""
        return house.crew_of(lambda: self.home, shift)


@asynccontextmanager
async def working(
    tmp_path: Path,
    config: str = PLAY,
    shift: house.Shift = WHOLE,
    *,
    clock: Clock | None = None,
    starts: bool = True,
    **environ: str,
) -> AsyncIterator[Site]:
    """Jobs run here with this TOML, from the start or when the test starts the crew."""
    file = tmp_path / "gatemill.toml"
    file.write_text(config)
    source = Source(file, environ, {"server.data_dir": str(tmp_path / "data")}, lister=None)
    draft = source.load()
    assert isinstance(draft, Draft), draft
    clock = clock or SystemClock()
    if not draft.loaded.settings.stores.database:
        databases.lay(draft.loaded.settings.data_dir)
    ledger = house.open_ledger(draft.loaded.settings, clock)
    with (tmp_path / "log.jsonl").open("ab") as sink:
        writer = LineWriter(sink.fileno())
        home = house.build(draft.loaded, ledger, clock, (writer, False))
        await home.open()
        crew = house.crew_of(lambda: home, shift)
        if starts:
            crew.start()
        try:
            yield Site(home, crew)
        finally:
            await crew.drain(0.0)
            await home.close()
            writer.close()


@contextmanager
def acting(**acts: Any) -> Iterator[None]:
    """`kind_play` knows these acts, too, during the block."""
    before = dict(kind_play.ACTS)
    kind_play.ACTS.update(acts)
    try:
        yield
    finally:
        kind_play.ACTS.clear()
        kind_play.ACTS.update(before)


async def submit(services: Services, act: str, count: int = 1, **more: Any) -> list[str]:
    """The ids of jobs that were accepted. `more` are fields of NewJob, and `seconds` and `text`."""
    said = {name: more.pop(name) for name in ("seconds", "text") if name in more}
    args = msgspec.json.encode({"act": act, **said})
    fields = {"owner": "key:test", "key_id": "", **more}
    new = [new_job(services, "play", args, **fields) for _ in range(count)]
    await services.ledger.jobs.submit(new, 100_000, 1_000_000)
    await services.bell.ring([Ring(one.id, one.queue, one.priority) for one in new])
    return [one.id for one in new]


async def ended(services: Services, job_id: str, patience_s: float = PATIENCE_S) -> Full:
    """The job, which has ended."""
    return await reached(services, job_id, FINAL, patience_s)


async def reached(
    services: Services, job_id: str, states: Any, patience_s: float = PATIENCE_S
) -> Full:
    """The job, in one of these states."""
    given_up_s = time.monotonic() + patience_s
    while True:
        with services.news.of(job_id) as heard:
            full = await services.ledger.jobs.get(job_id, None)
            if full.job.state in states:
                return full
            assert time.monotonic() < given_up_s, f"{job_id} stays {full.job.state}"
            await heard.wait(0.1)  # what other processes do is told by nobody


async def until(holds: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """It holds, or the test fails with `what`."""
    given_up_s = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < given_up_s, f"not within {patience_s:g} s: {what}"
        await asyncio.sleep(0.01)
