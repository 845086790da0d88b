"""The sending end of Celery: it counts what waits, declares what is gone, and keeps nobody waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

import heavy
import rabbit_service
import redis_service
from gatemill.core.job import DEFAULT, HIGH, LOW
from gatemill.dispatch.celery import CeleryBell
from gatemill.dispatch.celery_names import client, job_of
from listener import rings


@pytest.fixture(params=[redis_service.store, rabbit_service.vhost], ids=["redis", "rabbitmq"])
def url(request) -> Iterator[str]:
    with request.param() as found:
        yield found


async def test_messages_are_counted_and_a_lost_queue_is_declared_again(url: str):
    bell = CeleryBell(url)
    assert await bell.open()
    assert await bell.waiting() == 0
    await bell.ring(rings(4, LOW) + rings(3, HIGH))
    await bell.close()
    bell = CeleryBell(url)
    assert await bell.waiting() == 7
    if url.startswith("redis"):
        redis_service.command(url, "FLUSHDB")
    else:
        rabbit_service.delete_queues(url, "jobs")
    assert await bell.waiting() == 0
    await bell.ring(rings(2, DEFAULT))
    await bell.close()
    assert bell.lost == 0
    other = CeleryBell(url)
    assert await other.waiting() == 2
    await other.close()


async def test_the_most_urgent_message_is_received_first(url: str):
    bell = CeleryBell(url)
    await bell.ring(rings(2, LOW) + rings(2, DEFAULT) + rings(2, HIGH))
    await bell.close()
    expected = [ring.id for priority in (HIGH, DEFAULT, LOW) for ring in rings(2, priority)]
    assert await asyncio.to_thread(_received, url, len(expected)) == expected


def _received(url: str, count: int) -> list[str]:
    app, found = client(url), []
    with app.connection_for_read() as connection:
        queues = app.amqp.queues.values()  # as a worker consumes them: the most urgent first
        names = ("high", "default", "low") if url.startswith("redis") else ("jobs",)
        for name in names:
            (queue,) = [each for each in queues if each.name == name]
            while (message := queue(connection.default_channel).get(no_ack=True)) is not None:
                found.append(job_of(message.headers["id"]))
    app.close()
    assert len(found) == count
    return found


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "amqp://guest:guest@127.0.0.1:1/"])
async def test_a_broker_that_is_away_keeps_nobody_waiting(url: str):
    bell = CeleryBell(url)
    assert not await bell.open()
    assert await bell.waiting() is None
    async with asyncio.timeout(heavy.within(0.5)):
        await bell.ring(rings(3))
        await bell.call_off("job_1")
    await bell.close()
    assert bell.lost == 4
