"""The listener: starts the house, opens the door, and closes both in order.

Rule: SIGTERM means readiness 503, answers under way finish within the grace, then exit 0.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import signal
import sys
import time
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
from gatemill.edge.door import Door, Limits
from gatemill.edge.front import Front
from gatemill.observe import log
from gatemill.observe.access import FLUSH_S
from gatemill.observe.lines import LineWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.settings import Loaded
    from gatemill.settings.model import Settings

LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1", "[::1]"))
_RETENTION_EVERY_S = 3600.0
_STOP_S = 1.0  # for the last words of what the grace did not see end


def serve(loaded: Loaded, on_ready: Callable[[dict[str, Any]], None]) -> int:
    """Runs until SIGTERM or SIGINT; gives the exit code.

    `on_ready` is called once, when requests are answered, with url, key_path, ready_s and models.
    Raises GatemillError with a message for whoever starts the program.
    """
    pretty = loaded.settings.server.log == "pretty" or (
        loaded.settings.server.log == "auto" and sys.stdout.isatty()
    )
    writer = LineWriter(sys.stdout.fileno())
    log.configure(writer, level=loaded.settings.server.log_level, pretty=pretty)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(loaded, (writer, pretty), on_ready))
    finally:
        writer.close()


async def _serve(
    loaded: Loaded, output: tuple[LineWriter, bool], on_ready: Callable[[dict[str, Any]], None]
) -> int:
    settings = loaded.settings
    clock = SystemClock()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    public = settings.server.host not in LOOPBACK
    ledger = house.open_ledger(settings, clock)
    try:
        wanted = settings.keys.dev_key and not public
        key_path = await ensure_dev_key(ledger, settings.data_dir, wanted=wanted)
        if public:
            await refuse_open_door(ledger, settings.server.host, clock.unix_s())
    except GatemillError:
        await ledger.close()
        raise
    home = house.build(loaded, ledger, clock, output)
    shown = application.Shown(healthy=ledger.healthy, open_metrics=not public)
    app = application.build(shown, with_docs=settings.server.openapi)
    door = shown.door = make_door(home, settings, app, public=public)
    server = await listen(door, settings.server.host, settings.server.port)
    timers = [
        spawn(_flush(home), "flush-access-log"),
        spawn(_retain(home, settings.stores.usage_retention_days), "retention"),
    ]
    host, port = server.sockets[0].getsockname()[:2]
    on_ready(
        {
            "url": f"http://{f'[{host}]' if ':' in host else host}:{port}",
            "key_path": key_path,
            "ready_s": time.monotonic() - _process_started_s(),
            "models": sorted(home.gateway.routes.exact),
        }
    )
    # What start-up made stays until the end: the collector need not look at it again, nor often at
    # requests, whose objects are freed by their counts (15 % of CPU per request, 2026-11).
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    structlog.get_logger().info("ready", host=host, port=port, config=home.gateway.version)
    await stop.wait()
    await _drain(server, door, settings.server.drain_timeout_s)
    for timer in timers:
        timer.cancel()
    await home.close()
    structlog.get_logger().info("stopped")
    return 0


async def listen(door: Door, host: str, port: int) -> asyncio.Server:
    """A listener whose connections begin at the front protocol."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Front(door, loop), host, port, backlog=2048)


def make_door(home: house.House, settings: Settings, app: Any, *, public: bool) -> Door:
    """The door of these settings, with uvicorn behind it for all that is not inference."""
    limits = settings.limits
    config = uvicorn.Config(
        app,
        http="httptools",
        ws=cast("Any", _websocket),
        ws_max_size=limits.websocket_message_bytes,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=math.ceil(limits.keep_alive_s),
    )
    config.load()
    state = ServerState()
    hosts = frozenset(name.lower() for name in settings.server.allowed_hosts)
    return Door(
        home.gateway,
        Limits(
            body_bytes=limits.body_bytes,
            header_bytes=limits.header_bytes,
            header_count=limits.header_count,
            header_timeout_s=limits.header_timeout_s,
            body_idle_s=limits.body_idle_s,
            body_bytes_per_s=limits.body_bytes_per_s,
            write_stall_s=limits.write_stall_s,
            keep_alive_s=limits.keep_alive_s,
            connections=limits.connections,
        ),
        (hosts or None) if public else LOOPBACK | hosts,
        lambda: HttpToolsProtocol(config, state, {}),
    )


def _websocket(**parts: Any) -> asyncio.Protocol:
    """Uvicorn's WebSocket protocol, loaded when the first one is opened: most servers never do."""
    room = import_module("uvicorn.protocols.websockets.websockets_sansio_impl")
    protocol: asyncio.Protocol = room.WebSocketsSansIOProtocol(**parts)
    return protocol


async def _drain(server: asyncio.Server, door: Door, grace_s: float) -> None:
    """The door is closed. Until then new connections hear 503, readiness probes among them."""
    structlog.get_logger().info("draining", connections=len(door.connections))
    door.drain()
    if not await _emptied(door, grace_s):
        structlog.get_logger().warning("drain_timeout", connections=len(door.connections))
        door.stop()
        await _emptied(door, _STOP_S)
    server.close()
    door.close()
    await asyncio.sleep(0)


async def _emptied(door: Door, patience_s: float) -> bool:
    try:
        async with asyncio.timeout(patience_s):
            await door.empty.wait()
    except TimeoutError:
        return False
    return True


async def _flush(home: house.House) -> None:
    while True:
        home.access.flush()
        await asyncio.sleep(FLUSH_S)


async def _retain(home: house.House, days: int) -> None:
    while True:
        await home.ledger.retain(days)
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
