"""The house inside a process of Celery's. Rule: Celery's threads wait, the work is on one loop.

A worker has all of the house and runs what messages name; a program that only asks for results has no
more than the ledger, opened by the first question.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from gatemill.core.clock import SystemClock
from gatemill.core.errors import GatemillError, NotFound, StartRefused
from gatemill.core.job import DEFAULT, FINAL, Ring
from gatemill.core.tasks import spawn
from gatemill.dispatch.celery_loop import LoopThread
from gatemill.house.jobs import Shift, crew_of
from gatemill.house.root import build, open_ledger
from gatemill.observe import log
from gatemill.observe.access import FLUSH_S
from gatemill.observe.lines import LineWriter
from gatemill.settings.source import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.job import Full
    from gatemill.house.root import House
    from gatemill.jobs.crew import Crew
    from gatemill.ledger.ledger import Ledger
    from gatemill.settings.model import Settings

_STDOUT = 1  # Celery puts its logger in the place of sys.stdout


class Inside:
    """What the Celery app knows of us. Everything blocks, and is called from any thread."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Raises StartRefused with everything that is wrong with the configuration."""
        source = Source(None, environ, {})
        draft = source.load()
        if isinstance(draft, tuple):
            raise StartRefused("\n".join(("The configuration does not hold:", *draft)))
        jobs = draft.loaded.settings.jobs
        if jobs.dispatch != "celery" or jobs.broker is None:
            raise StartRefused(
                'Celery is not what brings jobs to workers here. Write dispatch = "celery" and'
                ' broker = "redis://…" or "amqp://…" under [jobs].'
            )
        self.broker = jobs.broker.get_secret_value()
        self.slots = jobs.slots
        self._loaded = draft.loaded
        self._child = (sys.executable, "-m", "gatemill", "worker", "--quarantine", *source.words)
        self._loop = LoopThread()
        self._opening = asyncio.Lock()  # of the ledger
        self._ledger: Ledger | None = None
        self._home: House | None = None
        self._crew: Crew | None = None
        self._flushing: asyncio.Task[None] | None = None

    @property
    def _settings(self) -> Settings:
        return self._loaded.settings

    # --- For the worker --------------------------------------------------------------------------

    def start(self) -> None:
        """Jobs can run. Raises GatemillError."""
        self._loop.wait(self._start())

    def run(self, job_id: str, queue: str) -> Full | None:
        """The job as it is after it ran here; None when there was nothing to run."""
        return self._loop.wait(self._run(job_id, queue))

    def cancel(self, job_id: str, *, running: bool) -> None:
        """The job is cancelled in the ledger; one that runs, only if that is meant."""
        self._loop.wait(self._cancel(job_id, running=running))

    def stop(self, *, warm: bool) -> None:
        """What ran has ended, or is the ledger's again; the house is closed."""
        self._loop.wait(self._stop(self._settings.server.drain_timeout_s if warm else 0.0))

    # --- For everybody ---------------------------------------------------------------------------

    def look(self, job_id: str) -> Full | None:
        """The job; None when nobody knows it. Raises GatemillError."""
        return self._loop.wait(self._look(job_id))

    # --- On the loop -----------------------------------------------------------------------------

    async def _opened(self) -> Ledger:
        async with self._opening:
            if self._ledger is None:
                self._ledger = open_ledger(self._settings, SystemClock())
            return self._ledger

    async def _start(self) -> None:
        server, writer = self._settings.server, LineWriter(_STDOUT)
        pretty = server.log == "pretty"
        log.configure(
            writer,
            level=server.log_level,
            pretty=pretty,
            levels=server.log_levels,
            libraries=False,
        )
        home = build(self._loaded, await self._opened(), SystemClock(), (writer, pretty))
        await home.open()
        self._home = home
        self._crew = crew_of(lambda: home, Shift(child=self._child))
        self._crew.start()
        self._flushing = spawn(self._flush(home), "flush-access-log")

    async def _flush(self, home: House) -> None:
        while True:
            home.access.flush()
            await asyncio.sleep(FLUSH_S)

    async def _run(self, job_id: str, queue: str) -> Full | None:
        crew, home = self._crew, self._home
        if crew is None or home is None or not await crew.take(Ring(job_id, queue, DEFAULT)):
            return None
        await crew.job_ended(job_id)
        with suppress(GatemillError):
            return await home.ledger.jobs.get(job_id, None)
        return None

    async def _look(self, job_id: str) -> Full | None:
        with suppress(NotFound):
            return await (await self._opened()).jobs.get(job_id, None)
        return None

    async def _cancel(self, job_id: str, *, running: bool) -> None:
        found = await self._look(job_id)
        if found is None or found.job.state in FINAL:
            return
        if found.job.state == "running" and not running:
            return
        assert self._ledger is not None, "it was looked in"
        await self._ledger.jobs.cancel(job_id, None)
        if self._crew is not None:
            self._crew.cancel(job_id)

    async def _stop(self, grace_s: float) -> None:
        if self._crew is None or self._home is None:
            return
        crew, self._crew = self._crew, None
        await crew.drain(grace_s)
        if self._flushing is not None:
            self._flushing.cancel()
        await self._home.close()
        self._home = self._ledger = None
        structlog.get_logger().info("stopped")
