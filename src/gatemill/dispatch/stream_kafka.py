"""Streams in Kafka. Rule: an offset is committed after the ledger has all that is before it.

The id of a message is its topic, partition and offset.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gatemill.core.errors import StartRefused
from gatemill.dispatch.stream import BATCH_MAX, REASON, Arrived, Away, Place, TooLarge

try:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
    from aiokafka.errors import KafkaError, MessageSizeTooLargeError
except ImportError as error:  # the extra is not installed
    raise StartRefused('Kafka needs a package: pip install "gatemill[kafka]".') from error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

WAIT_MS = 1000  # for a batch, before another look
SEND_S = 10.0  # for the broker's word that all its replicas have a message
PORT = 9092


class KafkaSource:
    """One member of a group; its partitions may change with the group."""

    def __init__(self, consumer: Any, dead: KafkaTarget) -> None:
        self._consumer = consumer
        self._dead = dead

    async def batches(self) -> AsyncIterator[Sequence[Arrived]]:
        """Messages of all our partitions, in the order of their offsets."""
        while True:
            try:
                found = await self._consumer.getmany(timeout_ms=WAIT_MS, max_records=BATCH_MAX)
            except KafkaError as error:
                raise Away(type(error).__name__) from error
            batch = [_arrived(record) for records in found.values() for record in records]
            if batch:
                yield batch

    async def bury(self, message: Arrived, reason: str) -> None:
        """It stands in the topic beside, with the reason in a header."""
        try:
            await self._dead.send(message.id, message.body, reason)
        except TooLarge:  # it is still where its id says
            await self._dead.send(message.id, b"", reason)

    async def settle(self, batch: Sequence[Arrived]) -> None:
        """The group goes on after these."""
        offsets: dict[Any, int] = {}
        for message in batch:
            partition, offset = message.token
            offsets[partition] = max(offset + 1, offsets.get(partition, 0))
        try:
            await self._consumer.commit(offsets)
        except KafkaError as error:
            raise Away(type(error).__name__) from error

    async def close(self) -> None:
        """Other members of the group take over."""
        await self._consumer.stop()
        await self._dead.close()


class KafkaTarget:
    """One topic."""

    def __init__(self, producer: Any, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    async def send(self, message_id: str, body: bytes, reason: str = "") -> None:
        """All replicas in sync have it; the key is the id. Raises Away and TooLarge."""
        headers = [("gatemill-id", message_id.encode())]
        if reason:
            headers.append((REASON, reason.encode()))
        try:
            key = message_id.encode()
            await self._producer.send_and_wait(self._topic, body, key=key, headers=headers)
        except MessageSizeTooLargeError as error:
            raise TooLarge from error
        except KafkaError as error:
            raise Away(type(error).__name__) from error

    async def close(self) -> None:
        """Connections are released."""
        await self._producer.stop()


async def source(place: Place, group: str) -> KafkaSource:
    """A member of this group, from the oldest message that the group has not settled."""
    dead = await _producer(place, place.dead)
    consumer = AIOKafkaConsumer(
        place.name,
        **_access(place),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    async with AsyncExitStack() as unless_started:
        unless_started.push_async_callback(dead.close)
        await _started(consumer)
        unless_started.pop_all()
    return KafkaSource(consumer, dead)


async def target(place: Place) -> KafkaTarget:
    """The topic can be written to."""
    return await _producer(place, place.name)


async def _producer(place: Place, topic: str) -> KafkaTarget:
    timeout_ms = int(SEND_S * 1000)
    producer = AIOKafkaProducer(
        **_access(place), acks="all", enable_idempotence=True, request_timeout_ms=timeout_ms
    )
    await _started(producer)
    return KafkaTarget(producer, topic)


async def _started(client: Any) -> None:
    async with AsyncExitStack() as unless_started:
        unless_started.push_async_callback(client.stop)
        try:
            await client.start()
        except KafkaError as error:
            raise Away(type(error).__name__) from error
        unless_started.pop_all()


def _access(place: Place) -> dict[str, Any]:
    parts = urlsplit(place.broker)
    found: dict[str, Any] = {"bootstrap_servers": f"{parts.hostname}:{parts.port or PORT}"}
    if parts.username:
        found |= {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": parts.username,
            "sasl_plain_password": parts.password or "",
        }
    return found


def _arrived(record: Any) -> Arrived:
    partition = TopicPartition(record.topic, record.partition)
    name = f"{record.topic}:{record.partition}:{record.offset}"
    return Arrived(name, record.value or b"", (partition, record.offset))
