"""The listener: starts the house, opens the door, and closes both in order.

Rule: SIGTERM means readiness 503, answers under way finish within the grace, then exit 0. SIGHUP
means another look at the configuration.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import signal
import sys
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import structlog
import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gatemill import house
from gatemill.core.clock import SystemClock
from gatemill.core.errors import GatemillError
from gatemill.core.tasks import spawn
from gatemill.edge import app as application
from gatemill.edge.devkey import ensure_dev_key, refuse_open_door
from gatemill.edge.door import FORM_BYTES_MAX, Door, Limits
from gatemill.edge.front import Front
from gatemill.edge.reload import WATCH_S, Reloader, watch
from gatemill.edge.shown import Shown
from gatemill.edge.workers import ends_with_terminal, has_terminal
from gatemill.observe import log
from gatemill.observe.access import FLUSH_S
from gatemill.observe.lines import LineWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastapi import FastAPI

    from gatemill.edge.workers import Seat
    from gatemill.ledger.ledger import Ledger
    from gatemill.observe.access import AccessLog
    from gatemill.settings.model import Server, Settings
    from gatemill.settings.source import Draft, Source

LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1", "[::1]"))
BACKLOG = 2048  # connections that wait to be accepted
_RETENTION_EVERY_S = 3600.0
_ALERTS_EVERY_S = 2.0  # between two looks for alerts that wait to be sent
_STOP_S = 1.0  # for the last words of what the grace did not see end


def serve(
    draft: Draft,
    source: Source,
    on_ready: Callable[[dict[str, Any]], None],
    seat: Seat | None = None,
) -> int:
    """Runs until SIGTERM or SIGINT; gives the exit code.

    `source` is asked again for the configuration on SIGHUP, on a request, or when the file changes.
    `seat` is the place of one of several processes. `on_ready` is called once, when requests are
    answered, with url, key_path, ready_s and models. Raises GatemillError with a message for
    whoever starts the program.
    """
    server = draft.loaded.settings.server
    pretty = server.log == "pretty" or (server.log == "auto" and sys.stdout.isatty())
    writer = LineWriter(sys.stdout.fileno())
    log.configure(writer, level=server.log_level, pretty=pretty)
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
        self._stop = asyncio.Event()

    async def serve(
        self, draft: Draft, source: Source, on_ready: Callable[[dict[str, Any]], None]
    ) -> int:
        """The exit code, once it is told to stop."""
        settings = draft.loaded.settings
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        public = settings.server.host not in LOOPBACK
        ledger, key_path = await self._ledger(settings, public=public)
        home = house.build(draft.loaded, ledger, self._clock, self._output)
        await home.open()
        shown = Shown(healthy=ledger.healthy, open_metrics=not public)
        app = application.build(shown, with_docs=settings.server.openapi)
        door = shown.door = make_door(home, settings, app, public=public)
        adopt = partial(_adopt, door, app, public=public)
        tools = (self._clock, self._output)
        reloader = shown.reloader = Reloader((home, draft), source, door, adopt, tools)
        listeners = await self._listen(door, settings.server)
        crew = house.crew_of(lambda: reloader.home, house.embedded(settings, _child(source)))
        crew.start()
        timers = [
            spawn(_flush(home.access), "flush-access-log"),
            spawn(_retain(reloader), "retention"),
            spawn(_notify(reloader), "alerts"),
            *self._follow(reloader),
        ]
        host, port = listeners[0].sockets[0].getsockname()[:2]
        on_ready(
            {
                "url": f"http://{f'[{host}]' if ':' in host else host}:{port}",
                "key_path": key_path,
                "ready_s": time.monotonic() - _process_started_s(),
                "models": sorted(home.gateway.routes.exact),
            }
        )
        _settle_down()
        structlog.get_logger().info("ready", host=host, port=port, config=home.gateway.version)
        if self._seat is not None:
            self._seat.say("ready")
        del home  # the reloader has the one in effect; an old one is to vanish with its requests
        await self._stop.wait()
        grace_s = reloader.settings.server.drain_timeout_s
        await asyncio.gather(_drain(listeners, door, grace_s), crew.drain(grace_s))
        for timer in timers:
            timer.cancel()
        await reloader.close()
        structlog.get_logger().info("stopped")
        return 0

    async def _ledger(self, settings: Settings, *, public: bool) -> tuple[Ledger, Path | None]:
        """The ledger, and the file of the development key."""
        ledger = house.open_ledger(settings, self._clock)
        try:
            wanted = settings.keys.dev_key and not public
            key_path = await ensure_dev_key(ledger, settings.data_dir, wanted=wanted)
            if public:
                await refuse_open_door(ledger, settings.server.host, self._clock.unix_s())
        except GatemillError:
            await ledger.close()
            raise
        return ledger, key_path

    async def _listen(self, door: Door, server: Server) -> list[asyncio.Server]:
        if self._seat is None:
            return [await listen(door, server.host, server.port)]
        loop = asyncio.get_running_loop()
        return [
            await loop.create_server(lambda: Front(door, loop), sock=one, backlog=BACKLOG)
            for one in self._seat.sockets
        ]

    def _follow(self, reloader: Reloader) -> Sequence[asyncio.Task[Any]]:
        """The configuration is loaded again on SIGHUP, and when the file changes, if that is wanted."""
        loop = asyncio.get_running_loop()
        is_bound = ends_with_terminal()

        def hung_up() -> None:
            if is_bound and not has_terminal():
                self._stop.set()
            else:
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
        self._stop.set()


def _child(source: Source) -> tuple[str, ...]:
    """The command that runs jobs whose workers died."""
    return (sys.executable, "-m", "gatemill", "worker", "--quarantine", *source.words)


def _settle_down() -> None:
    """The collector leaves alone what start-up made."""
    # That stays until the end: the collector need not look at it again, nor often at requests, whose
    # objects are freed by their counts (15 % of CPU per request, 2026-11).
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def _reload(reloader: Reloader) -> None:
    try:
        await reloader.reload()
    except GatemillError as error:  # too many of them, or at the end
        structlog.get_logger().warning("config_not_reloaded", code=error.code)


async def listen(door: Door, host: str, port: int) -> asyncio.Server:
    """A listener whose connections begin at the front protocol."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Front(door, loop), host, port, backlog=BACKLOG)


def make_door(home: house.House, settings: Settings, app: FastAPI, *, public: bool) -> Door:
    """The door of these settings, with uvicorn behind it for all that is not inference."""
    door = Door(
        home.gateway, _limits(settings), _hosts(settings, public=public), _guests(settings, app)
    )
    door.desk = home.jobs.desk
    return door


def _adopt(door: Door, app: FastAPI, settings: Settings, *, public: bool) -> None:
    """Other settings hold for what comes through the door from now on."""
    door.limits = _limits(settings)
    door.hosts = _hosts(settings, public=public)
    door.guest = _guests(settings, app)


def _guests(settings: Settings, app: FastAPI) -> Callable[[], HttpToolsProtocol]:
    config = uvicorn.Config(
        app,
        http="httptools",
        ws=cast("Any", _websocket),
        ws_max_size=settings.limits.websocket_message_bytes,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=math.ceil(settings.limits.keep_alive_s),
    )
    config.load()
    state = ServerState()
    return lambda: HttpToolsProtocol(config, state, {})


def _hosts(settings: Settings, *, public: bool) -> frozenset[str] | None:
    hosts = frozenset(name.lower() for name in settings.server.allowed_hosts)
    return (hosts or None) if public else LOOPBACK | hosts


def _limits(settings: Settings) -> Limits:
    limits = settings.limits
    return Limits(
        body_bytes=limits.body_bytes,
        upload_bytes=settings.files.bytes_max + FORM_BYTES_MAX,
        header_bytes=limits.header_bytes,
        header_count=limits.header_count,
        header_timeout_s=limits.header_timeout_s,
        body_idle_s=limits.body_idle_s,
        body_bytes_per_s=limits.body_bytes_per_s,
        write_stall_s=limits.write_stall_s,
        keep_alive_s=limits.keep_alive_s,
        connections=limits.connections,
    )


def _websocket(**parts: Any) -> asyncio.Protocol:
    """Uvicorn's WebSocket protocol, loaded when the first one is opened: most servers never do."""
    room = import_module("uvicorn.protocols.websockets.websockets_sansio_impl")
    protocol: asyncio.Protocol = room.WebSocketsSansIOProtocol(**parts)
    return protocol


async def _drain(listeners: Sequence[asyncio.Server], door: Door, grace_s: float) -> None:
    """The door is closed. Until then new connections hear 503, readiness probes among them."""
    structlog.get_logger().info("draining", connections=len(door.connections))
    door.drain()
    if not await _emptied(door, grace_s):
        structlog.get_logger().warning("drain_timeout", connections=len(door.connections))
        door.stop()
        await _emptied(door, _STOP_S)
    for listener in listeners:
        listener.close()
    door.close()
    await asyncio.sleep(0)


async def _emptied(door: Door, patience_s: float) -> bool:
    try:
        async with asyncio.timeout(patience_s):
            await door.empty.wait()
    except TimeoutError:
        return False
    return True


async def _flush(access: AccessLog) -> None:
    while True:
        access.flush()
        await asyncio.sleep(FLUSH_S)


async def _notify(reloader: Reloader) -> None:
    while True:
        await asyncio.sleep(_ALERTS_EVERY_S)
        notifier = reloader.home.notifier
        try:
            if notifier is not None:
                await notifier.send_due()
        except GatemillError as error:
            structlog.get_logger().warning("alerts_not_sent", code=error.code)


async def _retain(reloader: Reloader) -> None:
    while True:
        await reloader.home.retain()
        await asyncio.sleep(_RETENTION_EVERY_S)


def _process_started_s() -> float:
    """When this process began, on the monotonic clock; now, where the system does not tell."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        uptime_s = float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return time.monotonic()
    age_s = uptime_s - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - age_s
