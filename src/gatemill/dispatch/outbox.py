"""What is to be sent to a broker. Rule: nobody waits for the broker; what it does not take is counted.

The ledger has every job, so a message that is dropped here costs time and nothing else.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from msgspec import Struct

from gatemill.core.tasks import spawn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from gatemill.core.job import Ring

HELD_MAX = 10_000  # messages that wait for the broker; what comes on top of them is dropped
BATCH_MAX = 500
PAUSE_S = 1.0  # after a failure
CLOSE_S = 2.0  # for what is still held at the end


class Stop(Struct, frozen=True):
    """The worker that runs this job is to stop it."""

    id: str


class BrokerAway(Exception):
    """The broker did not take everything. `lost` messages are gone; the text names the reason."""

    def __init__(self, lost: int, reason: str) -> None:
        super().__init__(reason)
        self.lost = lost


class Outbox:
    """Sends in the background, in order, many at a time."""

    def __init__(self, engine: str, send: Callable[[list[Ring | Stop]], Awaitable[None]]) -> None:
        """`send` raises BrokerAway and nothing else."""
        self.lost = 0  # grows only
        self._away = Condition(engine)
        self._send = send
        self._held: list[Ring | Stop] = []  # at most HELD_MAX
        self._sending: asyncio.Task[None] | None = None

    def put(self, messages: Iterable[Ring | Stop]) -> None:
        """They are sent soon, or counted as lost. Never waits."""
        new = list(messages)
        fitting = new[: HELD_MAX - len(self._held)]
        self.lost += len(new) - len(fitting)
        self._held += fitting
        if self._held and (self._sending is None or self._sending.done()):
            self._sending = spawn(self._run(), "dispatch-outbox")

    async def ring(self, rings: Sequence[Ring]) -> None:
        """Workers are told of these jobs soon; what a bell does."""
        self.put(rings)

    async def call_off(self, job_id: str) -> None:
        """All workers are told to stop it soon; what a bell does."""
        self.put((Stop(job_id),))

    async def close(self) -> None:
        """What was held is sent, or lost after `CLOSE_S`."""
        if self._sending is None:
            return
        _, late = await asyncio.wait((self._sending,), timeout=CLOSE_S)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    async def _run(self) -> None:
        while self._held:
            batch, self._held = self._held[:BATCH_MAX], self._held[BATCH_MAX:]
            try:
                await self._send(batch)
            except BrokerAway as away:
                self.lost += away.lost
                self._away.failed(str(away))
                await asyncio.sleep(PAUSE_S)
            else:
                self._away.works()


class Condition:
    """Whether a broker answers: each change is one line in the log, whatever happens in between."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._is_away = False

    def failed(self, reason: str) -> None:
        """It does not, for this reason."""
        if not self._is_away:
            self._is_away = True
            structlog.get_logger().warning("broker_away", engine=self._engine, reason=reason)

    def works(self) -> None:
        """It does."""
        if self._is_away:
            self._is_away = False
            structlog.get_logger().info("broker_back", engine=self._engine)
