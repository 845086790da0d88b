"""What `gatemill consume` does: a house without a door, until SIGTERM.

Rule: what it has taken is in the ledger, and what it has not comes again; so it may end at any moment.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from gatemill.cli.failure import Failure, Invalid
from gatemill.cli.terminal import environment

if TYPE_CHECKING:
    from pathlib import Path

    from gatemill.jobs.streaming import Stream
    from gatemill.observe.access import AccessLog
    from gatemill.observe.lines import LineWriter
    from gatemill.settings import Loaded

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,40}")
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Wanted(NamedTuple):
    """The options of the command."""

    source: str
    target: str
    key: str
    name: str
    priority: int
    slots: int
    config: Path | None
    data_dir: str | None


def run(wanted: Wanted) -> int:
    """It has run and ended; its exit code. Raises GatemillError for what keeps it from starting."""
    import uvloop

    from gatemill.cli import log_file
    from gatemill.dispatch import stream
    from gatemill.house.streaming import with_stream
    from gatemill.jobs.streaming import Stream
    from gatemill.observe import log
    from gatemill.observe.lines import LineWriter
    from gatemill.settings.source import Source

    if not _NAME.fullmatch(wanted.name):
        raise Failure(
            "--name cannot be used", fix='take lower-case letters, digits, "_" and "-", at most 41'
        )
    for url in (wanted.source, wanted.target):
        stream.place(url)
    draft = Source(wanted.config, environment(), {"server.data_dir": wanted.data_dir}).load()
    if isinstance(draft, tuple):
        raise Invalid(list(draft))
    of = Stream(wanted.name, wanted.key, wanted.priority)
    loaded = replace(draft.loaded, settings=with_stream(draft.loaded.settings, of, wanted.slots))
    server = loaded.settings.server
    file = log_file.opened(server)
    is_seen = file is None and sys.stdout.isatty()
    pretty = server.log == "pretty" or (server.log == "auto" and is_seen)
    writer = LineWriter(file or sys.stdout.fileno())
    log.configure(writer, level=server.log_level, pretty=pretty, levels=server.log_levels)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_work(loaded, of, wanted, (writer, pretty)))
    finally:
        writer.close()


async def _work(loaded: Loaded, of: Stream, wanted: Wanted, output: tuple[LineWriter, bool]) -> int:
    import structlog

    from gatemill import house
    from gatemill.core.clock import SystemClock
    from gatemill.core.tasks import spawn
    from gatemill.house.streaming import publish, take

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    clock = SystemClock()
    ledger = house.open_ledger(loaded.settings, clock)
    home = None
    try:
        home = house.build(loaded, ledger, clock, output)
        if home.jobs.gateway.keys.identify(of.key_id.encode()) is None:
            raise Failure("--key is no key of this gateway", fix="gatemill keys list")
        await home.open()
        crew = house.crew_of(lambda: home, house.Shift(queues=(of.queue,), slots=wanted.slots))
        crew.start()
        publishing = spawn(publish(wanted.target), "publish")
        taking = spawn(take(lambda: home, of, wanted.source), "take")
        structlog.get_logger().info("consuming", stream=of.name, slots=wanted.slots)
        await _until((spawn(stop.wait(), "stop"), taking, publishing), home.access)
        await _ended(taking)
        await crew.drain(loaded.settings.server.drain_timeout_s)
        await _ended(publishing)
    finally:
        await (ledger if home is None else home).close()
    structlog.get_logger().info("stopped")
    return 0


async def _until(tasks: tuple[asyncio.Task[Any], ...], access: AccessLog) -> None:
    """One of these has ended; meanwhile requests are logged."""
    from gatemill.observe.access import FLUSH_S

    while not any(task.done() for task in tasks):
        access.flush()
        await asyncio.wait(tasks, timeout=FLUSH_S, return_when=asyncio.FIRST_COMPLETED)


async def _ended(task: asyncio.Task[None]) -> None:
    """It runs no more. Raises what it raised."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
