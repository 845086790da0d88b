"""Jobs whose workers died, in a process of their own.

Rule: one child at a time, in a session of its own, so that nobody's end is its end. When it dies, what
it ran is taken back at once, by its process id.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from gatemill.core import children
from gatemill.core.errors import GatemillError
from gatemill.core.job import QUARANTINE
from gatemill.core.tasks import spawn
from gatemill.jobs import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatemill.jobs.counters import Counters
    from gatemill.jobs.services import Services

PAUSE_S = 1.0  # after a child that could not even start


class Quarantine:
    """One for a process."""

    def __init__(
        self,
        command: Sequence[str],
        counters: Counters,
        services: Callable[[], Services],
    ) -> None:
        """`command` starts a worker that ends when no such job is left."""
        self._command = command
        self._counters = counters
        self._services = services
        self._child: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._closed = False

    async def look(self) -> None:
        """A child runs the jobs that wait for one, if any do. Raises LedgerUnavailable."""
        if self._closed or self._watching is not None:
            return
        if not await self._services().ledger.jobs.waits(QUARANTINE):
            return
        self._watching = spawn(self._run(), "quarantine")

    async def close(self, patience_s: float) -> None:
        """The child has given back what it did not finish, and ended; or goes on without us."""
        self._closed = True
        self._tell()
        if (watching := self._watching) is not None:
            await asyncio.wait((watching,), timeout=patience_s)
            watching.cancel()

    def _tell(self) -> None:
        """The child, if there is one, is to give back what it has and to end."""
        if self._child is not None:
            with suppress(ProcessLookupError):
                self._child.send_signal(signal.SIGTERM)

    async def _run(self) -> None:
        try:
            self._counters.quarantine_started += 1
            self._child = await children.start(
                *self._command, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
            )
            if self._closed:  # in the meantime, when there was nobody to tell
                self._tell()
            code = await self._child.wait()
            log = structlog.get_logger()
            if code and not self._closed:
                log.warning("quarantine_died", child_pid=self._child.pid, exit_code=code)
                with suppress(GatemillError):  # the ordinary reaping comes to it
                    jobs = self._services().ledger.jobs
                    await jobs.reap_dead_pids(processes.here(), processes.is_alive)
                if code > 0:
                    await asyncio.sleep(PAUSE_S)
            else:
                log.info("quarantine_ended", child_pid=self._child.pid)
        except OSError as error:
            structlog.get_logger().error("quarantine_not_started", reason=error.strerror)
            await asyncio.sleep(PAUSE_S)
        finally:
            self._child = self._watching = None
