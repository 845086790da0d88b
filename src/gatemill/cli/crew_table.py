"""What a worker does, as a table on the terminal. Rule: looks only; it never delays a job."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from gatemill.core.errors import GatemillError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

    from gatemill.house import House
    from gatemill.jobs.crew import Crew
    from gatemill.ledger.jobs.rows import Depth

EVERY_S = 1.0
_MINUTE_S = 60.0


class Line(NamedTuple):
    """One queue."""

    queue: str
    running: int  # here
    waiting: int
    done: int  # here, since the start
    dead: int
    oldest_s: float
    per_minute: float  # done here


async def show(home: House, crew: Crew, screen: Console) -> None:
    """The table is on the terminal and fresh, until cancelled; log lines go above it."""
    from rich.live import Live

    before: dict[str, int] = {}
    with Live(console=screen, auto_refresh=False, transient=True) as live:
        while True:
            try:
                depths = await home.ledger.jobs.depths()
            except GatemillError:
                depths = []  # the log says why
            lines = lines_of(home, crew, depths, before)
            before = {line.queue: line.done for line in lines}
            live.update(table_of(lines, home.jobs.counters.slots), refresh=True)
            await asyncio.sleep(EVERY_S)


def lines_of(
    home: House, crew: Crew, depths: Sequence[Depth], before: dict[str, int]
) -> list[Line]:
    """A line for each queue that is served; `before` is what was done `EVERY_S` ago."""
    counters, running = home.jobs.counters, crew.running
    found = []
    for queue in crew.queues:
        waits = [one for one in depths if one.queue == queue and one.state == "queued"]
        counted = counters.queue(queue)
        fresh = counted.done - before.get(queue, counted.done)
        found.append(
            Line(
                queue,
                running.get(queue, 0),
                sum(one.jobs for one in waits),
                counted.done,
                counted.dead,
                max((one.oldest_s for one in waits), default=0.0),
                fresh / EVERY_S * _MINUTE_S,
            )
        )
    return found


def table_of(lines: Sequence[Line], slots: int) -> Table:
    """The lines as people read them."""
    from rich.table import Table

    used = sum(line.running for line in lines)
    table = Table(title=f"{used} of {slots} slots", title_justify="left", box=None, pad_edge=False)
    for name in ("queue", "running", "waiting", "done", "failed", "oldest", "per minute"):
        table.add_column(name, justify="left" if name == "queue" else "right")
    for line in lines:
        table.add_row(
            line.queue,
            str(line.running),
            str(line.waiting),
            str(line.done),
            str(line.dead),
            f"{line.oldest_s:.0f} s" if line.waiting else "",
            f"{line.per_minute:.0f}",
        )
    return table
