"""Messages through Redis: a sorted set for each queue and priority, and a channel to call jobs off.

Rule: a message is gone when it has been taken, and the claim comes after; what is lost between the two,
or with all of Redis, is found in the ledger within `POLL_S`. An id stands in its set once, however often
it is rung.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gatemill.core.job import PRIORITIES, Ring
from gatemill.dispatch.outbox import BrokerAway, Condition, Outbox, Stop
from gatemill.dispatch.redis_line import Away, Late, connected
from gatemill.dispatch.taking import job_id_of, take

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gatemill.core.ports import Ears
    from gatemill.core.redis_address import Address
    from gatemill.dispatch.redis_line import Line

NAME = "gatemill:jobs"
BLOCK_S = 5.0  # that Redis keeps a worker waiting
PATIENCE_S = 3.0  # for a reply, beyond that
QUIET_S = 15.0  # on the channel, after which Redis is asked whether it is there
PAUSE_S = 1.0  # before the next connection


class RedisBell:
    """One engine for a process: it rings, and brings messages to the workers here."""

    POLL_S: float | None = 5.0

    def __init__(self, address: Address, now_s: Callable[[], float], name: str = NAME) -> None:
        """`now_s` is Unix time. Those who share `name` and a database hear each other's messages."""
        self._address = address
        self._now_s = now_s
        self._name = name
        self._line: Line | None = None  # of the outbox
        self._outbox = Outbox("redis", self._send)
        self.ring, self.call_off = self._outbox.ring, self._outbox.call_off

    @property
    def lost(self) -> int:
        """Messages that Redis did not take."""
        return self._outbox.lost

    async def open(self) -> bool:
        """Whether Redis answers now."""
        try:
            await self._connected()
        except Away:
            return False
        return True

    async def listen(self, ears: Ears) -> None:
        """One connection for each queue, and one for the channel."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._again_and_again(ears, self._channel))
            for queue in ears.queues:
                group.create_task(self._again_and_again(ears, self._take_of(queue)))

    async def waiting(self) -> int | None:
        """Nobody has to know: workers look at the ledger unasked."""
        return None

    async def close(self) -> None:
        """What was rung is sent, and the socket released."""
        await self._outbox.close()
        self._drop()

    # --- Sending ---------------------------------------------------------------------------------

    async def _send(self, batch: Sequence[Ring | Stop]) -> None:
        try:
            line = await self._connected()
            now_s = self._now_s()
            for message in batch:
                if isinstance(message, Stop):
                    line.send("PUBLISH", self._channel_name, message.id)
                else:
                    key = self._key(message.queue, message.priority)
                    line.send("ZADD", key, "NX", now_s, message.id)
            for _ in batch:
                await line.heard(PATIENCE_S)
        except Away as away:
            self._drop()
            raise BrokerAway(len(batch), str(away)) from away

    async def _connected(self) -> Line:
        if self._line is None:
            self._line = await connected(self._address)
        return self._line

    def _drop(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    # --- Hearing ---------------------------------------------------------------------------------

    async def _again_and_again(
        self, ears: Ears, listen: Callable[[Line, Ears], Awaitable[None]]
    ) -> None:
        condition = Condition("redis")
        while True:
            try:
                line = await connected(self._address)
            except Away as away:
                condition.failed(str(away))
                await asyncio.sleep(PAUSE_S)
                continue
            condition.works()
            ears.heard()  # what was rung while nobody listened may be lost
            try:
                await listen(line, ears)
            except Away as away:
                condition.failed(str(away))
                await asyncio.sleep(PAUSE_S)
            finally:
                line.close()

    def _take_of(self, queue: str) -> Callable[[Line, Ears], Awaitable[None]]:
        async def listen(line: Line, ears: Ears) -> None:
            keys = [self._key(queue, priority) for priority in ears.priorities]
            while True:
                await ears.room(queue)
                patience_s = BLOCK_S + PATIENCE_S
                found = await line.call("BZPOPMIN", *keys, BLOCK_S, patience_s=patience_s)
                if found is not None and (ring := self._ring(queue, found)) is not None:
                    await take(ears, ring)

        return listen

    async def _channel(self, line: Line, ears: Ears) -> None:
        await line.call("SUBSCRIBE", self._channel_name, patience_s=PATIENCE_S)
        while True:
            try:
                heard = await line.heard(QUIET_S)
            except Late:
                heard = await line.call("PING", patience_s=PATIENCE_S)
            if heard[0] == b"message" and (job_id := _id(heard[2])):
                ears.cancel(job_id)

    # --- Names -----------------------------------------------------------------------------------

    def _key(self, queue: str, priority: int) -> str:
        return f"{self._name}:{queue}:{PRIORITIES[priority]}"

    @property
    def _channel_name(self) -> str:
        return f"{self._name}:stop"

    def _ring(self, queue: str, found: Sequence[bytes]) -> Ring | None:
        """The message as [key, member, score]; None when it is none of ours."""
        job_id = _id(found[1])
        priority = PRIORITIES.index(found[0].rpartition(b":")[2].decode())
        return Ring(job_id, queue, priority) if job_id else None


def _id(text: bytes) -> str:
    return job_id_of(text.decode(errors="replace"))
