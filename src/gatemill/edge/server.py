"""The listener: starts the house, opens the door, and closes both in order.

Rule: SIGTERM means readiness 503, answers under way finish within the grace, then exit 0. SIGHUP
means another look at the configuration.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
import uvloop

from gatemill import house
from gatemill.core.clock import SystemClock
from gatemill.core.errors import GatemillError
from gatemill.core.tasks import spawn
from gatemill.edge import app as application
from gatemill.edge import listening
from gatemill.edge.devkey import ensure_dev_key, first_link, refuse_open_door
from gatemill.edge.ending import Ending, Patience, drained, let_go
from gatemill.edge.listening import admin_host, adopted, hosts_of, is_home, make_door
from gatemill.edge.reload import WATCH_S, Reloader, watch
from gatemill.edge.shown import Shown
from gatemill.edge.workers import ends_with_terminal, has_terminal
from gatemill.observe import log, logfile
from gatemill.observe.access import FLUSH_S
from gatemill.observe.board import Board
from gatemill.observe.lines import LineWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from gatemill.edge.workers import Seat
    from gatemill.ledger.ledger import Ledger
    from gatemill.local.shelf import Shelf
    from gatemill.observe.access import AccessLog
    from gatemill.settings.model import Settings
    from gatemill.settings.source import Draft, Source

_RETENTION_EVERY_S = 3600.0
_GARBAGE_EVERY_S = 60.0
_ALERTS_EVERY_S = 2.0  # between two looks for alerts that wait to be sent


def serve(
    draft: Draft,
    source: Source,
    on_ready: Callable[[dict[str, Any]], None],
    seat: Seat | None = None,
) -> int:
    """Runs until SIGTERM or SIGINT; gives the exit code.

    `source` is asked again for the configuration on SIGHUP, on a request, or when the file changes.
    `seat` is the place of one of several processes. `on_ready` is called once, when requests are
    answered, with url, admin_url, key_path, ready_s, models and signin_token. Raises GatemillError with
    a message for whoever starts the program.
    """
    server = draft.loaded.settings.server
    file = logfile.opened(server.log_file, server.log_file_bytes_max, server.log_files_max)
    is_seen = file is None and sys.stdout.isatty()
    pretty = server.log == "pretty" or (server.log == "auto" and is_seen)
    writer = LineWriter(file or sys.stdout.fileno())
    log.configure(writer, level=server.log_level, pretty=pretty, levels=server.log_levels)
    if seat is not None:
        _number_lines(seat.number)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            running = _Running((writer, pretty), seat)
            return runner.run(running.serve(draft, source, on_ready))
    finally:
        writer.close()


def _number_lines(number: int) -> None:
    """Every line of this process says which worker it is."""

    def numbered(_logger: Any, _name: str, event: Any) -> Any:
        event["worker"] = number
        return event

    structlog.configure(processors=[numbered, *structlog.get_config()["processors"]])


class _Running:
    """A server from its start to its end."""

    def __init__(self, output: tuple[LineWriter, bool], seat: Seat | None) -> None:
        self._output = output
        self._seat = seat
        self._clock = SystemClock()
        self._token = ""  # of the link that signs in once, at the first start

    async def serve(
        self, draft: Draft, source: Source, on_ready: Callable[[dict[str, Any]], None]
    ) -> int:
        """The exit code, once it is told to stop."""
        settings = draft.loaded.settings
        ending = self._ending = Ending()
        ending.heed(seated=self._seat is not None)
        ledger, key_path = await self._ledger(settings)
        home = house.build(draft.loaded, ledger, self._clock, self._output)
        await home.open()
        shown = Shown(healthy=ledger.healthy, open_metrics=is_home(admin_host(settings.server)))
        shown.loading = partial(_loads, home.lasting.shelf)
        app = application.build(shown, with_docs=settings.server.openapi)
        door = shown.door = make_door(home, settings, app)
        adopt = partial(adopted, door, app)
        tools = (self._clock, self._output)
        reloader = shown.reloader = Reloader((home, draft), source, door, adopt, tools)
        listeners = await listening.open_all(door, settings.server, self._seat)
        crew = house.crew_of(lambda: reloader.home, house.embedded(settings, _child(source)))
        crew.start()
        timers = [
            spawn(_flush(home.access), "flush-access-log"),
            spawn(_tidy(), "collect-garbage"),
            spawn(_retain(reloader), "retention"),
            spawn(_notify(reloader), "alerts"),
            spawn(_watch(reloader), "incidents"),
            *self._follow(reloader),
            *self._tell(shown),
        ]
        host, port = listeners[0].sockets[0].getsockname()[:2]
        has_admin = settings.server.admin_port is not None
        admin_url = listening.url(listeners[-1 if has_admin else 0])
        on_ready(
            {
                "url": listening.url(listeners[0]),
                "admin_url": admin_url,
                "key_path": key_path,
                "ready_s": time.monotonic() - _process_started_s(),
                "models": sorted(home.gateway.routes.exact),
                "signin_token": self._token,
            }
        )
        _settle_down()
        where = {"host": host, "port": port} | ({"admin": admin_url} if has_admin else {})
        structlog.get_logger().info("ready", **where, config=home.gateway.version)
        if self._seat is not None:
            self._seat.say("ready")
        del home  # the reloader has the one in effect; an old one is to vanish with its requests
        await ending.told.wait()
        server = reloader.settings.server
        patience = Patience(server.drain_delay_s, server.drain_timeout_s)
        await asyncio.gather(
            drained(listeners, door, patience, ending),
            let_go(crew, server.drain_delay_s + server.drain_timeout_s, ending),
        )
        for timer in timers:
            timer.cancel()
        await reloader.close()
        structlog.get_logger().info("stopped")
        return 0

    async def _ledger(self, settings: Settings) -> tuple[Ledger, Path | None]:
        """The ledger, and the file of the development key."""
        ledger = house.open_ledger(settings, self._clock)
        reachable = [host for host in hosts_of(settings.server) if not is_home(host)]
        try:
            wanted = settings.keys.dev_key and not reachable
            is_first = wanted and not await ledger.has_admin()
            key_path = await ensure_dev_key(ledger, settings.data_dir, wanted=wanted)
            # Somebody has to see it: what goes to a file or a collector would be read by others.
            is_seen = self._output[1] and sys.stdout.isatty()
            self._token = await first_link(ledger, key_path, wanted=is_first and is_seen)
            if reachable:
                await refuse_open_door(ledger, reachable[0], self._clock.unix_s())
        except GatemillError:
            await ledger.close()
            raise
        return ledger, key_path

    def _tell(self, shown: Shown) -> Sequence[asyncio.Task[Any]]:
        """Any of several processes can tell the numbers of all."""
        if self._seat is None or self._seat.folder is None:
            return ()
        board = Board(self._seat.folder, self._clock, shown.door.gateway.meter)
        shown.board = board
        return (spawn(board.run(asyncio.sleep), "numbers"),)

    def _follow(self, reloader: Reloader) -> Sequence[asyncio.Task[Any]]:
        """The configuration is loaded again on SIGHUP, and when the file changes, if that is wanted."""
        loop = asyncio.get_running_loop()
        is_bound = ends_with_terminal()

        def hung_up() -> None:
            if is_bound and not has_terminal():
                self._ending.tell()
            else:
                self._output[0].reopen()
                spawn(_reload(reloader), "reload")

        loop.add_signal_handler(signal.SIGHUP, hung_up)
        seat = self._seat
        if seat is not None:
            reloader.workers = reloader.settings.server.workers
            reloader.tell_others = lambda: seat.say("reload")
            loop.add_reader(seat.line.fileno(), self._orphaned, seat)
        if not reloader.settings.server.watch:
            return ()
        pause = partial(asyncio.sleep, WATCH_S)
        return (spawn(watch(reloader.source.file, partial(_reload, reloader), pause), "watch"),)

    def _orphaned(self, seat: Seat) -> None:
        asyncio.get_running_loop().remove_reader(seat.line.fileno())
        structlog.get_logger().error("supervisor_gone")
        self._ending.tell()


def _child(source: Source) -> tuple[str, ...]:
    """The command that runs jobs whose workers died."""
    return (sys.executable, "-m", "gatemill", "worker", "--quarantine", *source.words)


def _settle_down() -> None:
    """The collector leaves alone what start-up made."""
    # That stays until the end: the collector need not look at it again, nor often at requests, whose
    # objects are freed by their counts (15 % of CPU per request, 2026-11).
    gc.collect()
    gc.freeze()
    # Once more: a whole collection waits until there is a quarter more than the last one found, and
    # that is now nothing.
    gc.collect()
    gc.set_threshold(20_000, 10, 10)


def _loads(shelf: Shelf) -> bool:
    """Whether models that are preloaded at the start are still on their way; one that failed is not."""
    return any(not task.done() for task in shelf.first or ())


async def _reload(reloader: Reloader) -> None:
    try:
        await reloader.reload()
    except GatemillError as error:  # too many of them, or at the end
        structlog.get_logger().warning("config_not_reloaded", code=error.code)


async def _flush(access: AccessLog) -> None:
    while True:
        access.flush()
        await asyncio.sleep(FLUSH_S)


async def _tidy() -> None:
    # What refers to itself would lie about between two whole collections, of which there are few, and
    # keep pages of memory in use: 6.3 MB more an hour, with this 0.9 (soak of 40 minutes at 60/s). It
    # takes 2 to 24 ms on a busy machine.
    while True:
        await asyncio.sleep(_GARBAGE_EVERY_S)
        gc.collect()


async def _notify(reloader: Reloader) -> None:
    while True:
        await asyncio.sleep(_ALERTS_EVERY_S)
        notifier = reloader.home.notifier
        if notifier is not None:
            await _turn(notifier.send_due(), "alerts_not_sent")


async def _watch(reloader: Reloader) -> None:
    while True:
        await asyncio.sleep(reloader.settings.alerts.every_s)
        home = reloader.home
        look = home.lasting.watchman.look(home, config_refused=reloader.refused)
        del home  # an old one is to vanish with its requests
        if not await _turn(look, "not_watched"):
            reloader.home.lasting.watchman.failures += 1


async def _retain(reloader: Reloader) -> None:
    while True:
        await _turn(reloader.home.retain(), "retention_failed")
        await asyncio.sleep(_RETENTION_EVERY_S)


async def _turn(work: Coroutine[Any, Any, Any], event: str) -> bool:
    """Whether it succeeded; what failed is logged as `event`, and the next turn comes all the same."""

    async def told() -> bool:
        try:
            await work
        except GatemillError as error:  # the database is away
            structlog.get_logger().warning(event, code=error.code)
            return False
        return True

    turn = spawn(told(), event)
    try:
        await asyncio.wait((turn,))
    finally:
        turn.cancel()  # at the end of this process; otherwise it is over
    # A fault of ours is logged by the task.
    return not turn.cancelled() and turn.exception() is None and turn.result()


def _process_started_s() -> float:
    """When this process began, on the monotonic clock; now, where the system does not tell."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        uptime_s = float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return time.monotonic()
    age_s = uptime_s - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - age_s
