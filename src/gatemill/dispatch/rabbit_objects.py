"""What stands in RabbitMQ. Rule: whoever needs it declares it, the same way each time.

NAME (direct) ── NAME.<queue>.<high|default|low>, quorum queues ── rejected or poisonous ─┐
NAME.dlx (fanout) ── NAME.dlq: what was no message of ours ◄──────────────────────────────┘
NAME.control (fanout) ── one unnamed queue for each worker: jobs to stop
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from gatemill.core.errors import StartRefused
from gatemill.core.job import PRIORITIES

try:
    import aio_pika
    from aio_pika.exceptions import CONNECTION_EXCEPTIONS
except ImportError as error:  # the extra is not installed
    raise StartRefused('RabbitMQ needs a package: pip install "gatemill[rabbitmq]".') from error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractQueue
    from pamqp.common import Arguments
    from yarl import URL

AWAY: tuple[type[BaseException], ...] = CONNECTION_EXCEPTIONS  # RabbitMQ is away, or hangs up
CONNECT_S = 5.0
HEARTBEAT_S = 10  # a frozen broker is left after two of them
MESSAGES_MAX = 1_000_000  # in one queue; what comes on top is refused, and found in the ledger
DEAD_MAX = 10_000  # dead letters; the oldest go first
DELIVERIES_MAX = 20  # of one message whose receiver dies with it each time
# It would log each of a thousand tries to connect, with its traceback; we log the first.
logging.getLogger("aiormq").setLevel(logging.CRITICAL)


class Objects:
    """The exchanges of one name, and a channel to declare queues on."""

    def __init__(self, channel: AbstractChannel, name: str) -> None:
        self._channel = channel
        self._name = name
        self.jobs: AbstractExchange
        self.control: AbstractExchange

    @classmethod
    async def declared(cls, channel: AbstractChannel, name: str) -> Objects:
        """All that does not depend on a queue, dead letters included. Raises AWAY."""
        self = cls(channel, name)
        self.jobs = await channel.declare_exchange(name, durable=True)
        self.control = await channel.declare_exchange(f"{name}.control", "fanout", durable=True)
        await dead_letters(channel, name)
        return self

    def key(self, queue: str, priority: int) -> str:
        """The routing key of its messages, and the end of the queue's name."""
        return f"{queue}.{PRIORITIES[priority]}"

    async def queue(self, key: str) -> AbstractQueue:
        """The queue of this key, bound. Raises AWAY."""
        arguments: Arguments = {
            "x-queue-type": "quorum",
            "x-dead-letter-exchange": f"{self._name}.dlx",
            "x-delivery-limit": DELIVERIES_MAX,
            "x-max-length": MESSAGES_MAX,
            "x-overflow": "reject-publish",
        }
        name = f"{self._name}.{key}"
        queue = await self._channel.declare_queue(name, durable=True, arguments=arguments)
        await queue.bind(self.jobs, key)
        return queue


async def dead_letters(channel: AbstractChannel, name: str) -> AbstractExchange:
    """The exchange whose letters arrive: it is bound to the queue that keeps them. Raises AWAY."""
    exchange = await channel.declare_exchange(f"{name}.dlx", "fanout", durable=True)
    arguments: Arguments = {"x-queue-type": "quorum", "x-max-length": DEAD_MAX}
    queue = await channel.declare_queue(f"{name}.dlq", durable=True, arguments=arguments)
    await queue.bind(exchange)
    return exchange


async def connected(url: str | URL) -> AbstractConnection:
    """A connection that does not come back by itself: whoever has it knows what to declare again.

    Raises AWAY.
    """
    address = aio_pika.connection.make_url(url)
    if "heartbeat" not in address.query:
        address = address.update_query(heartbeat=HEARTBEAT_S)
    async with asyncio.timeout(CONNECT_S):
        return await aio_pika.connect(address)


@asynccontextmanager
async def connecting(url: str | URL) -> AsyncIterator[AbstractConnection]:
    """A connection that somebody keeps if the block ends well, and that is closed again if not. Raises AWAY."""
    async with AsyncExitStack() as unless_kept:
        connection = await connected(url)
        unless_kept.push_async_callback(connection.close)
        yield connection
        unless_kept.pop_all()


def persistent(body: bytes, message_id: str) -> aio_pika.Message:
    """JSON that outlives the broker."""
    return aio_pika.Message(
        body,
        message_id=message_id,
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
