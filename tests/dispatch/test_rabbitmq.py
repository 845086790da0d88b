"""What stands in RabbitMQ, and what becomes of a worker when it does not stand there any more."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aio_pika
import pytest

import rabbit_service
from gatemill.core.job import DEFAULT, HIGH
from gatemill.dispatch import rabbit_objects, stream_rabbit
from gatemill.dispatch.rabbitmq import RabbitBell
from gatemill.dispatch.stream import Away, Place
from listener import PATIENCE_S, Listener, listening, rings, sent

NAME = "x"


@pytest.fixture
def url():
    with rabbit_service.vhost() as found:
        yield found


async def dead_letters(url: str, count: int) -> list[aio_pika.abc.AbstractIncomingMessage]:
    found = []
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(f"{NAME}.dlq")
        async with asyncio.timeout(PATIENCE_S):
            while len(found) < count:
                with suppress(aio_pika.exceptions.QueueEmpty):
                    found.append(await queue.get(no_ack=True))
    return found


async def publish(url: str, key: str, *bodies: bytes) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(NAME)
        for body in bodies:
            await exchange.publish(aio_pika.Message(body), key)


async def test_what_is_no_message_of_ours_arrives_among_the_dead_letters(url: str):
    bell, ears = RabbitBell(url, NAME), Listener()
    spoiled = [b"", b"{", b'{"id": 7}', b'{"id": "not a job"}', b"\xff\xfe"]
    async with listening(bell, ears):
        await publish(url, "inference.high", *spoiled)
        await bell.ring(rings(1))
        await ears.until(lambda it: it.taken)
        letters = await dead_letters(url, len(spoiled))
    assert sorted(letter.body for letter in letters) == sorted(spoiled)
    assert {letter.headers["x-death"][0]["reason"] for letter in letters} == {"rejected"}
    assert ears.taken == rings(1)
    await bell.close()


async def test_an_operator_deletes_the_queues_and_the_worker_goes_on(url: str):
    front, back, ears = RabbitBell(url, NAME), RabbitBell(url, NAME), Listener()
    async with listening(back, ears):
        await front.ring(rings(1))
        await ears.until(lambda it: len(it.taken) == 1)
        looks = ears.looks
        names = [name for name in rabbit_service.queues(url) if name.startswith(f"{NAME}.")]
        assert f"{NAME}.inference.default" in names
        rabbit_service.delete_queues(url, *names)
        await ears.until(lambda it: it.looks > looks)
        await front.ring(rings(1, HIGH))
        await ears.until(lambda it: len(it.taken) == 2)
    assert front.lost == 0
    for bell in (front, back):
        await bell.close()


async def test_the_sender_declares_a_queue_that_is_gone(url: str):
    front = RabbitBell(url, NAME)
    await front.ring(rings(3))
    await front.close()
    front = RabbitBell(url, NAME)
    assert await front.open()
    rabbit_service.delete_queues(url, f"{NAME}.inference.default")
    await front.ring(rings(2))
    await front.close()
    assert front.lost == 0
    back, ears = RabbitBell(url, NAME), Listener()
    async with listening(back, ears):
        await ears.until(lambda it: it.taken)
        assert ears.ids[0] == rings(1)[0].id
        await ears.until(lambda it: len(it.taken) == 2)
    await back.close()


async def test_a_broker_that_is_started_again_is_used_again():
    server = rabbit_service.Server()
    front, back, ears = RabbitBell(server.url, NAME), RabbitBell(server.url, NAME), Listener()
    try:
        async with listening(back, ears):
            await front.ring(rings(1, DEFAULT))
            await ears.until(lambda it: len(it.taken) == 1)
            await sent(front)
            await asyncio.to_thread(server.stop)
            looks = ears.looks
            await front.ring(rings(5, HIGH))
            await front.close()
            assert front.lost == 5
            await asyncio.to_thread(server.start)
            await ears.until(lambda it: it.looks > looks)
            assert await front.open()
            await front.ring(rings(2, HIGH))
            await ears.until(lambda it: len(it.taken) >= 3)
        for bell in (front, back):
            await bell.close()
    finally:
        server.remove()


async def test_a_connection_that_cannot_be_used_is_closed_again(url: str, monkeypatch):
    made, connected = [], rabbit_objects.connected

    async def noted(broker):
        made.append(await connected(broker))
        return made[-1]

    monkeypatch.setattr(rabbit_objects, "connected", noted)
    place = Place(url, "theirs")
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.declare_exchange(NAME, "fanout")  # ours is of another kind
        assert not await RabbitBell(url, NAME).open()
        await channel.declare_queue("theirs", exclusive=True)
        for make in (stream_rabbit.target(place), stream_rabbit.source(place, "us")):
            with pytest.raises(Away):
                await make
    assert [each.is_closed for each in made] == [True] * 3
