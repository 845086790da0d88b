"""Another configuration without a restart: read, compare, build beside the old, swap, drain the old.

Rule: nothing half applied. Requests under way keep the gateway that they began with; on any error
the old configuration stays, and the log and the metrics say so.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from functools import partial
from typing import TYPE_CHECKING

import structlog
from msgspec import Struct

from gatemill import house
from gatemill.core.errors import Draining, GatemillError, Overloaded
from gatemill.core.tasks import spawn
from gatemill.observe.metrics import Labelled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from pathlib import Path

    from gatemill.core.clock import Clock
    from gatemill.core.ports import Transport
    from gatemill.edge.door import Door
    from gatemill.observe.lines import LineWriter
    from gatemill.settings import Settings
    from gatemill.settings.history import History
    from gatemill.settings.source import Draft, Source

WATCH_S = 1.0
COLLECT_S = 5.0
WAITING_MAX = 16  # reloads that wait for the one under way; more are refused


class Outcome(Struct):
    """What became of a reload."""

    outcome: str  # ok, unchanged, failed
    version: str  # in effect now
    changes: tuple[str, ...] = ()  # a line each
    needs_restart: tuple[str, ...] = ()  # differs in the file, and is not in effect
    errors: tuple[str, ...] = ()  # why it failed, each with its place in the file


class Reloader:
    """The configuration that is in effect, and how another one takes its place."""

    def __init__(
        self,
        running: tuple[house.House, Draft],
        source: Source,
        door: Door,
        adopt: Callable[[Settings], None],
        tools: tuple[Clock, tuple[LineWriter, bool]],
    ) -> None:
        """`adopt` gives the door the limits of new settings; `tools` are what house.build takes."""
        self.home, self.draft = running
        self.source = source
        self.workers = 1  # that follow; written by the server
        self.tell_others: Callable[[], None] = lambda: None  # the same, of other processes
        self._door = door
        self._adopt = adopt
        self._clock, self._output = tools
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._counts: dict[tuple[str, ...], float] = {("ok",): 0, ("unchanged",): 0, ("failed",): 0}
        self._succeeded = True
        self._at_s = self._clock.unix_s()
        self._leaving = Leaving(partial(asyncio.sleep, COLLECT_S))
        self._leaving.add(self.home)
        self._export()
        self._keep()

    @property
    def settings(self) -> Settings:
        """Those in effect."""
        return self.draft.loaded.settings

    @property
    def refused(self) -> bool:
        """The last configuration that was read does not hold."""
        return not self._succeeded

    @property
    def history(self) -> History:
        """What was in effect before."""
        return self.source.history(self.draft)

    async def reload(self, *, dry_run: bool = False) -> Outcome:
        """The file is in effect, or all that is wrong with it is said. Raises Overloaded, Draining."""
        if self._waiting >= WAITING_MAX:
            raise Overloaded("Too many reloads wait for each other.", retry_after_s=1)
        self._waiting += 1
        try:
            async with self._lock:
                return await self._reload(dry_run=dry_run)
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """What is in effect, and what has not quite left, is closed."""
        await self._leaving.close()
        await self.home.close()

    # --- Inside ----------------------------------------------------------------------------------

    async def _reload(self, *, dry_run: bool) -> Outcome:
        found = await asyncio.to_thread(self.source.load)
        if self._door.draining:
            raise Draining("This server is shutting down.", retry_after_s=1)
        version = self.home.gateway.version
        if isinstance(found, tuple):
            return self._refused(version, found, dry_run=dry_run)
        difference, draft = self.source.compare(self.settings, found)
        changes = difference.changes
        outcome = Outcome(
            "ok" if changes else "unchanged", version, changes, difference.needs_restart
        )
        if dry_run:
            return outcome
        if changes:
            try:
                self._swap(draft)
            except (OSError, GatemillError) as error:
                return self._refused(version, (str(error),), dry_run=False)
            outcome.version = self.home.gateway.version
        self._note(outcome)
        return outcome

    def _swap(self, draft: Draft) -> None:
        old = self.home
        # Before the house, which takes over what lasts: an extra for signing in may be missing.
        self._adopt(draft.loaded.settings)
        try:
            home = house.build(draft.loaded, old.ledger, self._clock, self._output, previous=old)
        except (OSError, GatemillError):
            self._adopt(self.settings)
            raise
        self._leaving.add(home)
        # From here on nothing waits and nothing fails.
        self._door.gateway = home.gateway
        self._door.desk = home.jobs.desk
        self.home, self.draft = home, draft

    def _note(self, outcome: Outcome) -> None:
        self._counts[outcome.outcome,] += 1
        self._succeeded = True
        self._at_s = self._clock.unix_s()
        if outcome.changes:
            self._keep()
        structlog.get_logger().info(
            "config_reloaded" if outcome.changes else "config_unchanged",
            config=outcome.version,
            changes=len(outcome.changes),
            needs_restart=outcome.needs_restart,
        )

    def _refused(self, version: str, errors: Iterable[str], *, dry_run: bool) -> Outcome:
        errors = tuple(errors)
        if not dry_run:
            self._counts["failed",] += 1
            self._succeeded = False
            self._at_s = self._clock.unix_s()
            structlog.get_logger().error("config_refused", config=version, errors=errors)
        return Outcome("failed", version, errors=errors)

    def _keep(self) -> None:
        try:
            self.history.add(self.draft.text, self.home.gateway.version, self._clock.unix_s())
        except OSError as error:
            structlog.get_logger().warning("config_not_kept", error=error.strerror)

    def _export(self) -> None:
        meter = self.home.gateway.meter
        meter.labelled_counters["gatemill_config_reloads"] = Labelled(
            "Times that the configuration was loaded again.", ("outcome",), self._counts.copy
        )
        meter.gauges["gatemill_config_last_reload_success"] = (
            "1 when the last configuration that was read holds, 0 when it was refused.",
            lambda: self._succeeded,
        )
        meter.gauges["gatemill_config_last_reload_timestamp_seconds"] = (
            "When a configuration was last read, in Unix time.",
            lambda: self._at_s,
        )


class Leaving:
    """Counts the gateways that know a transport; it is closed when the last of them is gone.

    Whoever answers a request holds its gateway, and the door holds the one in effect. A gateway's
    routes are looked at in its place: they are its own, and a Struct has no weak references.
    """

    def __init__(self, pause: Callable[[], Awaitable[None]]) -> None:
        """`pause` lies between two looks at gateways that nobody uses and that still exist."""
        self._loop = asyncio.get_running_loop()
        self._pause = pause
        self._users: dict[Transport, int] = {}  # as many as providers, for each gateway there is
        self._gateways = 0
        self._collecting: asyncio.Task[None] | None = None

    def add(self, home: house.House) -> None:
        """Another gateway knows these transports."""
        transports = tuple(home.transports.values())
        for transport in transports:
            self._users[transport] = self._users.get(transport, 0) + 1
        self._gateways += 1
        weakref.finalize(home.gateway.routes, self._ended, transports).atexit = False
        if self._gateways > 1 and (self._collecting is None or self._collecting.done()):
            self._collecting = spawn(self._collect(), "collect-gateways")

    async def close(self) -> None:
        """All are closed now."""
        if self._collecting is not None:
            self._collecting.cancel()
        transports = tuple(self._users)
        self._users.clear()
        await _close(transports)

    async def _collect(self) -> None:
        """Only the one in effect is left."""
        # Requests that failed or were cut leave circles (error, traceback, frame), and those hold on
        # to their gateway; by itself the collector comes round too seldom. It takes milliseconds,
        # because what the start made is not looked at.
        while self._gateways > 1:
            await self._pause()
            gc.collect()

    def _ended(self, transports: tuple[Transport, ...]) -> None:
        # The collector may find it in another thread.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._sweep, transports)

    def _sweep(self, transports: tuple[Transport, ...]) -> None:
        self._gateways -= 1
        over = []
        for transport in transports:
            users = self._users.pop(transport, 0) - 1
            if users > 0:
                self._users[transport] = users
            elif users == 0:
                over.append(transport)
        if over:
            spawn(_close(over), "close-transports")


async def _close(transports: Iterable[Transport]) -> None:
    for transport in transports:
        await transport.close()


# --- A file that changes ------------------------------------------------------------------------


def watch(
    file: Path, changed: Callable[[], Awaitable[object]], pause: Callable[[], Awaitable[None]]
) -> Coroutine[None, None, None]:
    """`changed` is awaited whenever the file is another one than at this call. Never ends.

    It is looked at after every `pause`, and must look the same twice: editors write in steps. Its
    absence is no change: some of them remove it first.
    """
    # Not when the coroutine first runs: what changes until then would never be noticed.
    return _watch(file, changed, pause, _look(file))


async def _watch(
    file: Path,
    changed: Callable[[], Awaitable[object]],
    pause: Callable[[], Awaitable[None]],
    seen: tuple[int, int, int] | None,
) -> None:
    before = seen
    while True:
        await pause()
        now = _look(file)
        if now is not None and now != seen and now == before:
            seen = now
            await changed()
        before = now


def _look(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
