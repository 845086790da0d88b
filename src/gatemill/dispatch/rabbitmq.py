"""Messages through RabbitMQ: quorum queues by queue and priority, confirmed, acknowledged on the claim.

Rule: a message is acknowledged when its job has been claimed or needs no claim, so no consumer timeout
can bite. What is no message of ours is in the queue of dead letters, where a person finds it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import structlog
from aio_pika.exceptions import DeliveryError, PublishError

from gatemill.dispatch.outbox import BrokerAway, Condition, Outbox, Stop
from gatemill.dispatch.rabbit_hearing import Hearing
from gatemill.dispatch.rabbit_objects import AWAY, Objects, connected, connecting, persistent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aio_pika.abc import AbstractConnection

    from gatemill.core.job import Ring
    from gatemill.core.ports import Ears

NAME = "gatemill.jobs"
PAUSE_S = 1.0  # before the next connection
CONFIRM_S = 5.0  # for the broker's word that it has a message
_EXPECTED = (*AWAY, asyncio.CancelledError)  # aiormq cancels whoever waits when a connection ends


class RabbitBell:
    """One engine for a process: it rings, and brings messages to the workers here."""

    POLL_S: float | None = 5.0

    def __init__(self, url: str, name: str = NAME) -> None:
        """Nothing is connected yet. `name` begins the name of every exchange and queue."""
        self._url = url
        self._name = name
        self._sender: _Sender | None = None
        self._outbox = Outbox("rabbitmq", self._send)
        self.ring, self.call_off = self._outbox.ring, self._outbox.call_off

    @property
    def lost(self) -> int:
        """Messages that RabbitMQ did not confirm."""
        return self._outbox.lost

    async def open(self) -> bool:
        """Whether RabbitMQ answers now."""
        try:
            await self._connected()
        except AWAY:
            return False
        return True

    async def listen(self, ears: Ears) -> None:
        """One connection, with a consumer for each queue and priority; made anew whenever it breaks."""
        condition = Condition("rabbitmq")
        while True:
            try:
                connection = await connected(self._url)
            except AWAY as error:
                condition.failed(type(error).__name__)
                await asyncio.sleep(PAUSE_S)
                continue
            condition.works()
            try:
                await Hearing(connection, self._name, ears).run()
            except AWAY as error:
                structlog.get_logger().warning("broker_hung_up", reason=type(error).__name__)
                await asyncio.sleep(PAUSE_S)
            finally:
                await connection.close()

    async def waiting(self) -> int | None:
        """Nobody has to know: workers look at the ledger unasked."""
        return None

    async def close(self) -> None:
        """What was rung is sent, and the connection released."""
        await self._outbox.close()
        await self._drop()

    # --- Sending ---------------------------------------------------------------------------------

    async def _send(self, batch: Sequence[Ring | Stop]) -> None:
        try:
            sender = await self._connected()
        except AWAY as error:
            raise BrokerAway(len(batch), type(error).__name__) from error
        answers = await asyncio.gather(*map(sender.send, batch), return_exceptions=True)
        failures = [each for each in answers if each is not None]
        if any(not isinstance(each, DeliveryError) for each in failures):
            await self._drop()
        unexpected = [each for each in failures if not isinstance(each, _EXPECTED)]
        if unexpected:
            raise unexpected[0]
        if failures:
            raise BrokerAway(len(failures), type(failures[0]).__name__)

    async def _connected(self) -> _Sender:
        if self._sender is None:
            async with connecting(self._url) as connection:
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                self._sender = _Sender(connection, await Objects.declared(channel, self._name))
        return self._sender

    async def _drop(self) -> None:
        if self._sender is not None:
            sender, self._sender = self._sender, None
            await sender.connection.close()


class _Sender:
    """A connection and what was declared on it."""

    def __init__(self, connection: AbstractConnection, objects: Objects) -> None:
        self.connection = connection
        self._objects = objects
        self._declared: set[str] = set()  # keys; a few for each queue of jobs

    async def send(self, message: Ring | Stop) -> None:
        """RabbitMQ has it. Raises AWAY, and DeliveryError for a queue that is full."""
        envelope = persistent(msgspec.json.encode({"id": message.id}), message.id)
        if isinstance(message, Stop):
            control = self._objects.control
            await control.publish(envelope, "", mandatory=False, timeout=CONFIRM_S)
            return
        key = self._objects.key(message.queue, message.priority)
        if key not in self._declared:
            await self._declare(key)
        try:
            await self._objects.jobs.publish(envelope, key, timeout=CONFIRM_S)
        except PublishError:  # the queue has been deleted
            await self._declare(key)
            await self._objects.jobs.publish(envelope, key, timeout=CONFIRM_S)

    async def _declare(self, key: str) -> None:
        await self._objects.queue(key)
        self._declared.add(key)
