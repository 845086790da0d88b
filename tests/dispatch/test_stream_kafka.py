"""Streams in Kafka. Without GATEMILL_TEST_KAFKA=host:port, a broker that tests may use, only the way to
none is tested.
"""

from __future__ import annotations

import asyncio
import os
import secrets

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from gatemill.dispatch import stream, stream_kafka
from gatemill.dispatch.stream import Arrived, Away, TooLarge

BROKER = os.environ.get("GATEMILL_TEST_KAFKA", "")
PATIENCE_S = 60.0
real = pytest.mark.skipif(
    not BROKER, reason="GATEMILL_TEST_KAFKA names no broker; Kafka is optional, also in CI"
)


async def test_a_broker_that_is_away_is_said_to_be():
    for opened in (
        stream.source("kafka://127.0.0.1:1/t", "g"),
        stream.target("kafka://127.0.0.1:1/t"),
    ):
        with pytest.raises(Away):
            await opened


@pytest.mark.parametrize("end", ["AIOKafkaProducer", "AIOKafkaConsumer"])
async def test_a_start_that_is_called_off_leaves_no_client(monkeypatch, end):
    hangs, stopped = asyncio.Event(), []

    class Client:
        name = "AIOKafkaProducer"

        def __init__(self, *_topics, **_options):
            pass

        async def start(self):
            if self.name == end:
                hangs.set()
                await asyncio.Event().wait()

        async def stop(self):
            stopped.append(self.name)

    class Consumer(Client):
        name = "AIOKafkaConsumer"

    monkeypatch.setattr(stream_kafka, "AIOKafkaProducer", Client)
    monkeypatch.setattr(stream_kafka, "AIOKafkaConsumer", Consumer)
    task = asyncio.ensure_future(stream.source("kafka://127.0.0.1:1/t", "g"))
    await hangs.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert end in stopped
    assert "AIOKafkaProducer" in stopped


async def test_what_kafka_does_not_take_for_its_size_is_no_broker_that_is_away(monkeypatch):
    kept = []

    class Producer:
        def __init__(self, **_options):
            pass

        async def start(self):
            pass

        async def stop(self):
            pass

        async def send_and_wait(self, _topic, value, *, key, headers):
            if len(value) > 10:
                raise MessageSizeTooLargeError
            kept.append((key, value, dict(headers).get("gatemill-reason")))

    monkeypatch.setattr(stream_kafka, "AIOKafkaProducer", Producer)
    target = await stream.target("kafka://127.0.0.1:1/t")
    with pytest.raises(TooLarge):
        await target.send("t:0:1", b"x" * 11)
    source = stream_kafka.KafkaSource(None, target)
    await source.bury(Arrived("t:0:2", b"x" * 11, None), "no request")
    await source.bury(Arrived("t:0:3", b"x", None), "no request")
    assert kept == [(b"t:0:2", b"", b"no request"), (b"t:0:3", b"x", b"no request")]


async def sent(topic: str, *bodies: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=BROKER)
    await producer.start()
    try:
        for body in bodies:
            await producer.send_and_wait(topic, body)
    finally:
        await producer.stop()


async def heard(topic: str, count: int) -> list:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=BROKER, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


@real
async def test_what_is_not_settled_comes_again_under_the_same_id():
    topic = f"gatemill-test-{secrets.token_hex(6)}"
    url = f"kafka://{BROKER}/{topic}"
    await sent(topic, b"1", b"2", b"3")
    ids = []
    for settled in (1, 2):
        source = await stream.source(url, "g")
        async with asyncio.timeout(PATIENCE_S):
            batch = await anext(aiter(source.batches()))
        ids.append([message.id for message in batch])
        await source.settle(batch[:settled])
        await source.close()
    assert ids[0][0].startswith(f"{topic}:0:")
    assert ids[1] == ids[0][1:]


@real
async def test_answers_and_dead_letters_arrive():
    topic = f"gatemill-test-{secrets.token_hex(6)}"
    await sent(topic, b"spoiled")
    source = await stream.source(f"kafka://{BROKER}/{topic}", "g")
    target = await stream.target(f"kafka://{BROKER}/{topic}-answered")
    async with asyncio.timeout(PATIENCE_S):
        (message,) = await anext(aiter(source.batches()))
    await source.bury(message, "no request")
    await target.send(message.id, b"answer")
    await source.close()
    await target.close()
    (dead,) = await heard(f"{topic}.dead", 1)
    assert (dead.value, dict(dead.headers)["gatemill-reason"]) == (b"spoiled", b"no request")
    (answer,) = await heard(f"{topic}-answered", 1)
    assert (answer.value, answer.key) == (b"answer", message.id.encode())
