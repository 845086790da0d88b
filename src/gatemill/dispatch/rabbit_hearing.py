"""A worker's consumers in RabbitMQ. Rule: of what has arrived, the most urgent begins first.

RabbitMQ knows no order between queues. Each consumer has a few messages in hand, so that the most urgent
of all is among them, and a small arbiter for each queue of jobs takes it when there is room.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import structlog
from msgspec import Struct

from gatemill.core.job import Ring
from gatemill.core.tasks import spawn
from gatemill.dispatch.rabbit_objects import AWAY, Objects
from gatemill.dispatch.taking import job_id_of, take

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

    from gatemill.core.ports import Ears

REFILL_S = (
    0.02  # for the next message of a priority, after one was taken, before a lesser one begins
)
PREFETCH = 4  # messages of one priority in the hands of one worker
SET_UP_S = 5.0  # for one consumer
STOP_S = 5.0  # for the arbiters at the end


class Note(Struct):
    """What a message says."""

    id: str


_note = msgspec.json.Decoder(Note)


class Hearing:
    """All consumers of one connection; it ends when one of them does."""

    def __init__(self, connection: AbstractConnection, name: str, ears: Ears) -> None:
        self._connection = connection
        self._name = name
        self._ears = ears
        self._broken = asyncio.Event()
        self._reason = ""

    async def run(self) -> None:
        """Messages are brought until this is cancelled. Raises AWAY when something has broken."""
        arbiters: list[asyncio.Task[None]] = []
        try:
            async with asyncio.timeout(SET_UP_S):
                await self._control()
            for queue in self._ears.queues:
                inbox = Inbox(self._ears.priorities)
                for priority in self._ears.priorities:
                    await self._consume(queue, priority, inbox)
                arbiters.append(spawn(self._arbitrate(queue, inbox), f"dispatch-{queue}"))
            self._ears.heard()  # what was rung while nobody listened may be lost
            await self._broken.wait()
            raise ConnectionError(self._reason)
        finally:
            for task in arbiters:
                task.cancel()
            if arbiters:
                await asyncio.wait(arbiters, timeout=STOP_S)

    def _break(self, reason: str) -> None:
        self._reason = reason
        self._broken.set()

    async def _channel(self, prefetch: int) -> AbstractChannel:
        channel = await self._connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=prefetch)
        return channel

    async def _watch(self, channel: AbstractChannel) -> None:
        """We hear when it, or one of its consumers, is no more."""
        channel.close_callbacks.add(lambda _channel, _error: self._break("channel closed"))
        below = await channel.get_underlay_channel()
        below.on_consumer_cancel_callbacks.add(lambda _frame: self._break("queue deleted"))

    async def _control(self) -> None:
        """Jobs to stop are heard from now on."""

        async def stop(message: AbstractIncomingMessage) -> None:
            if job_id := _job_id(message.body):
                self._ears.cancel(job_id)

        channel = await self._channel(0)
        objects = await Objects.declared(channel, self._name)
        queue = await channel.declare_queue(exclusive=True, auto_delete=True)
        await queue.bind(objects.control)
        await queue.consume(stop, no_ack=True)
        await self._watch(channel)

    async def _consume(self, queue: str, priority: int, inbox: Inbox) -> None:
        """Messages come from now on, unless the queue is broken.

        A quorum queue that was made just before its broker was killed may let a consumer wait for ever
        (RabbitMQ 3.10, 2026-11-21). The others must not wait with it; its jobs are found in the ledger.
        """
        channel = await self._channel(PREFETCH)
        objects = await Objects.declared(channel, self._name)
        key = objects.key(queue, priority)
        try:
            async with asyncio.timeout(SET_UP_S):
                declared = await objects.queue(key)
                await declared.consume(partial(inbox.put, priority))
        except TimeoutError:
            structlog.get_logger().error("broker_queue_stuck", queue=f"{self._name}.{key}")
            return
        await self._watch(channel)

    async def _arbitrate(self, queue: str, inbox: Inbox) -> None:
        while True:
            await self._ears.room(queue)
            priority, message = await inbox.best()
            job_id = _job_id(message.body)
            if job_id:
                await take(self._ears, Ring(job_id, queue, priority))
            with suppress(*AWAY):  # it comes again, and the claim finds nothing
                await (message.ack() if job_id else message.reject(requeue=False))


class Inbox:
    """Messages of one queue of jobs that have arrived: at most PREFETCH of each priority."""

    def __init__(self, priorities: Sequence[int]) -> None:
        self._waiting: dict[int, list[AbstractIncomingMessage]] = {each: [] for each in priorities}
        self._now = asyncio.get_running_loop().time
        self._refilled_s = dict.fromkeys(priorities, self._now() + REFILL_S)
        self._news = asyncio.Event()

    async def put(self, priority: int, message: AbstractIncomingMessage) -> None:
        """It has arrived."""
        self._waiting[priority].append(message)
        self._news.set()

    async def best(self) -> tuple[int, AbstractIncomingMessage]:
        """The first of the most urgent ones, taken out."""
        while True:
            self._news.clear()
            found, patience_s = self._best()
            if found is not None:
                self._refilled_s[found[0]] = self._now() + REFILL_S
                return found
            with suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await self._news.wait()

    def _best(self) -> tuple[tuple[int, AbstractIncomingMessage] | None, float | None]:
        """A message, or how long to wait for one that would be more urgent than those here."""
        for priority, messages in self._waiting.items():
            if messages:
                return (priority, messages.pop(0)), None
            patience_s = self._refilled_s[priority] - self._now()
            if patience_s > 0:
                return None, patience_s
        return None, None


def _job_id(body: bytes) -> str:
    """The id in a message; "" when it is no message of ours."""
    try:
        return job_id_of(_note.decode(body).id)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
