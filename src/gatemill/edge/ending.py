"""How a server ends: told once it lets go of its callers, told again it hurries.

First readiness says 503 while requests are still answered (`server.drain_delay_s`), so that balancers
look elsewhere; then what is new is refused, and what is under way has the grace to end.
Rule: a connection is never closed on a request that was answered half without a word about it.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, NamedTuple

import structlog

from gatemill.core.tasks import spawn

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from typing import Any

    from gatemill.edge.door import Door
    from gatemill.jobs.crew import Crew

SAME_S = 1.0  # a signal so soon after the first is the same wish: of a terminal and a supervisor
REPLACED_S = 1.0  # at least so long answers of a replaced worker say that their connection closes
STOP_S = (
    1.0  # for the last words: of what the grace did not see end, and to those who came meanwhile
)
TURNS = 3  # of the event loop, each of which accepts all that wait


class Patience(NamedTuple):
    """How long a server takes to end."""

    delay_s: float  # of the balancers: requests are answered meanwhile
    grace_s: float  # of the requests under way


class Ending:
    """Whether the server is to end, and how. Belongs to the running event loop."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.hurried = asyncio.Event()
        self.replaced = False  # another process has our listeners
        self._loop = asyncio.get_running_loop()
        self._told_s = 0.0

    def tell(self) -> None:
        """The server ends; told again later, it waits for nobody any more."""
        if not self.told.is_set():
            self.told.set()
            self._told_s = self._loop.time()
        elif self._loop.time() - self._told_s > SAME_S and not self.hurried.is_set():
            structlog.get_logger().warning("drain_hurried")
            self.hurried.set()

    def replace(self) -> None:
        """The server ends, and its listeners go on without it."""
        self.replaced = True
        self.tell()

    def heed(self, *, seated: bool) -> None:
        """SIGTERM and SIGINT tell it; SIGUSR2 says to one of several workers that it is replaced."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.tell)
        self._loop.add_signal_handler(signal.SIGUSR2, self.replace if seated else _alone)


async def drained(
    listeners: Sequence[asyncio.Server], door: Door, patience: Patience, ending: Ending
) -> None:
    """The door is closed. Until then new connections are answered, or hear 503."""
    structlog.get_logger().info("draining", connections=len(door.connections))
    delay_s = patience.delay_s
    if ending.replaced:
        for listener in listeners:
            listener.close()  # those that wait to be accepted are the other process's
        delay_s = max(delay_s, REPLACED_S)
    door.leave()
    if delay_s > 0:
        await _first(ending.hurried.wait(), delay_s)
    door.drain()
    if not await _emptied(door, patience.grace_s, ending.hurried):
        structlog.get_logger().warning("drain_timeout", connections=len(door.connections))
        door.stop()
        await _emptied(door, STOP_S, asyncio.Event())
    for _ in range(TURNS):  # whoever waits to be accepted is; a listener that closes resets them
        await asyncio.sleep(0)
    for listener in listeners:
        listener.close()
    door.finish()
    await _emptied(door, STOP_S, ending.hurried)
    door.close()
    await asyncio.sleep(0)


async def let_go(crew: Crew, grace_s: float, ending: Ending) -> None:
    """Jobs have ended or are given back; at once when it hurries."""
    draining = spawn(crew.drain(grace_s), "drain-jobs")
    hurry = spawn(ending.hurried.wait(), "hurry")
    await asyncio.wait((draining, hurry), return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if not draining.done() and crew.worker is not None:
        await crew.worker.drain(0.0)
    await draining


async def _emptied(door: Door, patience_s: float, hurried: asyncio.Event) -> bool:
    """Whether all connections are closed, after the patience or when it hurries."""
    hurry = spawn(hurried.wait(), "hurry")
    empty = spawn(door.empty.wait(), "empty")
    await asyncio.wait((empty, hurry), timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    empty.cancel()
    return door.empty.is_set()


async def _first(waited: Coroutine[Any, Any, Any], patience_s: float) -> None:
    try:
        await asyncio.wait_for(waited, patience_s)
    except TimeoutError:
        return


def _alone() -> None:
    """A process without others beside it cannot be replaced while it serves."""
    words = "start it again, or run it with --workers 2 or more"
    structlog.get_logger().warning("restart_needs_workers", fix=words)
