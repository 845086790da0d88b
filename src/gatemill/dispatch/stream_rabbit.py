"""Streams in RabbitMQ. Rule: acknowledged after the ledger has it, published with confirms."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aio_pika.exceptions import ChannelNotFoundEntity

from gatemill.dispatch.rabbit_objects import AWAY, connecting, persistent
from gatemill.dispatch.stream import BATCH_MAX, REASON, Arrived, Away, Place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from aio_pika.abc import (
        AbstractChannel,
        AbstractConnection,
        AbstractIncomingMessage,
        AbstractQueue,
    )

CONFIRM_S = 10.0  # for the broker's word that it has a message


class RabbitSource:
    """One consumer of one queue; its prefetch is a batch."""

    def __init__(self, connection: AbstractConnection, name: Place, dead: RabbitTarget) -> None:
        self._connection = connection
        self._place = name
        self._dead = dead
        self._inbox: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()  # <= prefetch

    async def consume(self) -> None:
        """Messages come from now on. Raises AWAY."""
        queue = await queue_of(self._connection, self._place.name)
        await queue.channel.set_qos(prefetch_count=BATCH_MAX)
        queue.channel.close_callbacks.add(lambda _channel, _error: self._inbox.put_nowait(None))
        below = await queue.channel.get_underlay_channel()
        below.on_consumer_cancel_callbacks.add(lambda _frame: self._inbox.put_nowait(None))
        await queue.consume(self._inbox.put)

    async def batches(self) -> AsyncIterator[Sequence[Arrived]]:
        """What has arrived, as soon as there is something."""
        while True:
            batch = [await self._inbox.get()]
            while not self._inbox.empty() and len(batch) < BATCH_MAX:
                batch.append(self._inbox.get_nowait())
            found = [_arrived(message) for message in batch if message is not None]
            if len(found) < len(batch):
                raise Away("the queue was closed")
            yield found

    async def bury(self, message: Arrived, reason: str) -> None:
        """It stands in the queue beside, with the reason in a header."""
        await self._dead.send(message.id, message.body, reason)

    async def settle(self, batch: Sequence[Arrived]) -> None:
        """All are acknowledged."""
        try:
            for message in batch:
                await message.token.ack()
        except AWAY as error:
            raise Away(type(error).__name__) from error

    async def close(self) -> None:
        """What is not acknowledged comes again."""
        await self._connection.close()


class RabbitTarget:
    """One queue, which keeps what it is sent."""

    def __init__(self, connection: AbstractConnection, queue: AbstractQueue) -> None:
        self._connection = connection
        self._queue = queue

    async def send(self, message_id: str, body: bytes, reason: str = "") -> None:
        """The queue has it. Raises Away."""
        message = persistent(body, message_id)
        message.correlation_id = message_id
        if reason:
            message.headers = {REASON: reason}
        exchange = self._queue.channel.default_exchange
        try:
            await exchange.publish(message, self._queue.name, timeout=CONFIRM_S)
        except AWAY as error:
            raise Away(type(error).__name__) from error

    async def close(self) -> None:
        """The connection is released."""
        await self._connection.close()


async def source(place: Place, group: str) -> RabbitSource:
    """The queue is consumed. Its consumers share its messages, whatever their `group`."""
    try:
        async with connecting(place.broker) as connection:
            dead = RabbitTarget(connection, await queue_of(connection, place.dead))
            made = RabbitSource(connection, place, dead)
            await made.consume()
    except AWAY as error:
        raise Away(type(error).__name__) from error
    return made


async def target(place: Place) -> RabbitTarget:
    """The queue stands."""
    try:
        async with connecting(place.broker) as connection:
            return RabbitTarget(connection, await queue_of(connection, place.name))
    except AWAY as error:
        raise Away(type(error).__name__) from error


async def queue_of(connection: AbstractConnection, name: str) -> AbstractQueue:
    """The queue as somebody has made it, else a new quorum queue; on a channel of its own."""
    try:
        return await (await _channel(connection)).get_queue(name)
    except ChannelNotFoundEntity:
        arguments: dict[str, str] = {"x-queue-type": "quorum"}
        channel = await _channel(connection)
        return await channel.declare_queue(name, durable=True, arguments={**arguments})


async def _channel(connection: AbstractConnection) -> AbstractChannel:
    return await connection.channel(publisher_confirms=True, on_return_raises=True)


def _arrived(message: AbstractIncomingMessage) -> Arrived:
    return Arrived(message.message_id or "", message.body, message)
