"""What `gatemill worker` does: a house without a door, whose crew runs jobs until SIGTERM.

Rule: whatever ends it, what it ran is given back or taken back; exit code 75 says that it had been
taken for dead, so that whoever supervises it starts another.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gatemill.cli.failure import Failure, Invalid
from gatemill.cli.terminal import console, environment
from gatemill.core.job import PRIORITIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from gatemill.house import House, Shift
    from gatemill.jobs.crew import Crew
    from gatemill.observe.lines import LineWriter
    from gatemill.settings.source import Draft

TAKEN_FOR_DEAD = 75  # EX_TEMPFAIL: try again
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run(
    config: Path | None,
    flags: Mapping[str, Any],
    words: Sequence[str],
    slots: int,
    *,
    quarantine: bool,
) -> int:
    """The worker has run and ended; its exit code. `words` are priorities and queues, () is all."""
    import uvloop

    from gatemill.cli import log_file
    from gatemill.house import Shift
    from gatemill.observe import log
    from gatemill.observe.lines import LineWriter
    from gatemill.settings.source import Source

    source = Source(config, environment(), flags)
    draft = source.load()
    if isinstance(draft, tuple):
        raise Invalid(list(draft))
    child = (sys.executable, "-m", "gatemill", "worker", "--quarantine", *source.words)
    shift = Shift(
        queues=tuple(word for word in words if word not in PRIORITIES),
        priorities=tuple(number for number, word in enumerate(PRIORITIES) if word in words),
        slots=slots,
        claiming="quarantined" if quarantine else "",
        child=() if quarantine else child,
        returns=False,
    )
    server = draft.loaded.settings.server
    file = log_file.opened(server)
    is_seen = file is None and sys.stdout.isatty()
    pretty = server.log == "pretty" or (server.log == "auto" and is_seen)
    screen = console() if sys.stdout.isatty() and pretty and not quarantine else None
    # The table has the terminal: what is logged stands above it, and requests are not shown.
    fd = sys.stdout.fileno() if screen is None else os.open(os.devnull, os.O_WRONLY)
    writer = LineWriter(file or fd)
    above: Any = writer if screen is None else _Above(screen)
    log.configure(above, level=server.log_level, pretty=pretty, levels=server.log_levels)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_work(draft, shift, (writer, pretty), screen))
    except OSError as error:
        raise Failure(f"cannot start: {error}", fix="check server.data_dir and ca_file") from error
    finally:
        writer.close()


class _Above:
    """Log lines above the table."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen

    def write(self, lines: bytes) -> None:
        self._screen.out(lines.decode(errors="replace"), end="", highlight=False)


async def _work(
    draft: Draft, shift: Shift, output: tuple[LineWriter, bool], screen: Console | None
) -> int:
    import structlog

    from gatemill import house
    from gatemill.core.clock import SystemClock
    from gatemill.core.errors import InvalidValue

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    settings, clock = draft.loaded.settings, SystemClock()
    ledger = house.open_ledger(settings, clock)
    home: House | None = None
    numbers: asyncio.Server | None = None
    try:
        home = house.build(draft.loaded, ledger, clock, output)
        await home.open()
        try:
            crew = house.crew_of(lambda: home, shift)
        except InvalidValue as error:
            raise Failure(error.message, fix="correct --queues", code=2) from None
        numbers = await _numbers(home, settings.jobs.metrics_port, shift)
        crew.start()
        assert crew.worker is not None
        structlog.get_logger().info(
            "working",
            worker_id=crew.worker.id,
            queues=list(crew.queues),
            slots=home.jobs.counters.slots,
            **({} if numbers is None else {"metrics": numbers.sockets[0].getsockname()[1]}),
        )
        await _until(stop, home, crew, screen)
        await crew.drain(0.0 if crew.fenced else settings.server.drain_timeout_s)
    finally:
        if numbers is not None:
            numbers.close()
        await (ledger if home is None else home).close()
    structlog.get_logger().info("stopped", fenced=crew.fenced)
    return TAKEN_FOR_DEAD if crew.fenced else 0


async def _numbers(home: House, port: int | None, shift: Shift) -> asyncio.Server | None:
    """Who answers /metrics, where that is wanted; a worker in quarantine is another's child."""
    from gatemill.observe import endpoint

    if port is None or shift.claiming == "quarantined":
        return None
    try:
        return await endpoint.listen(port, lambda: (home.gateway.meter, home.gateway.version))
    except OSError as error:
        raise Failure(
            f"port {port} on {endpoint.HOST} cannot be used for /metrics: {error.strerror}",
            fix="choose another with --metrics-port; each worker needs its own",
        ) from error


async def _until(stop: asyncio.Event, home: House, crew: Crew, screen: Console | None) -> None:
    """We are told to stop, or the crew has ended by itself. Meanwhile what is to be seen is shown."""
    from gatemill.core.tasks import spawn
    from gatemill.observe.access import FLUSH_S

    async def flush() -> None:
        while True:
            home.access.flush()
            await asyncio.sleep(FLUSH_S)

    ends = [spawn(stop.wait(), "stop"), spawn(crew.ended.wait(), "crew-ended")]
    others = [spawn(flush(), "flush-access-log")]
    if screen is not None:
        from gatemill.cli.crew_table import show

        others.append(spawn(show(home, crew, screen), "table"))
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for task in (*ends, *others):
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.wait((*ends, *others))
