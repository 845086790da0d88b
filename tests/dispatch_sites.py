"""Doors and workers joined by each engine of dispatch, and the ways in which messages go astray."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aio_pika
from msgspec import Struct

import celery_process
import postgres_service
import rabbit_service
import redis_service
from site_under_fire import Site, opened

ENGINES = ("sql", "redis", "rabbitmq", "celery-redis", "celery-rabbitmq")
# One text of SQL serves both databases; with Postgres the processes share no file.
POSTGRES = ("rabbitmq", "celery-redis")  # engines that are proved there, the others on SQLite
PLACES = tuple((each, "postgres" if each in POSTGRES else "sqlite") for each in ENGINES)
_CONFIG = """
[jobs]
kinds = ["kinds_under_fire", "kind_no_luck"]
embedded = false
dispatch = "{dispatch}"
{broker}
slots = {slots}
lease_s = 30.0  # longer than a busy machine holds a process up; the dead are known by their ids
beat_s = 0.5
poll_s = 0.5
"""
_WORKER = (sys.executable, "-m", "gatemill", "worker")
_KEYS = ("gatemill:jobs:inference:high", "high")  # in Redis: of our engine, and of Celery's


class Joined(Struct):
    """A site, and its broker."""

    site: Site
    engine: str
    broker: str  # "" for sql
    command: tuple[str, ...]  # of a worker

    def lose_all(self) -> None:
        """All messages are gone, and all queues."""
        if self.broker.startswith("redis"):
            redis_service.command(self.broker, "FLUSHDB")
        elif self.broker:
            names = [name for name in rabbit_service.queues(self.broker) if _is_ours(name)]
            rabbit_service.delete_queues(self.broker, *names)

    def add_rubbish(self, job_id: str) -> None:
        """Messages that are none, and more that name this job, are in the queue of high priority."""
        texts = [
            "",
            "{",
            '{"id": 7}',
            '{"id": "job_unknown"}',
            "\x00" * 300,
            f'{{"id": "{job_id}"}}',
        ]
        if self.engine == "redis":
            for text in (*texts, job_id, "job_unknown"):
                redis_service.command(self.broker, "ZADD", _KEYS[0], "0", text)
        elif self.engine == "celery-redis":
            for text in texts:
                redis_service.command(self.broker, "LPUSH", "high", text)
        elif self.broker:
            queue = "gatemill.jobs.inference.high" if self.engine == "rabbitmq" else "jobs"
            asyncio.run(_publish(self.broker, queue, [text.encode() for text in texts]))


def _is_ours(name: str) -> bool:
    return name.startswith("gatemill.jobs.") or name == "jobs"


async def _publish(url: str, queue: str, bodies: list[bytes]) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for body in bodies:
            await channel.default_exchange.publish(aio_pika.Message(body), queue)


@contextmanager
def joined(
    folder: Path,
    engine: str,
    database: str = "sqlite",
    *,
    workers: int = 2,
    slots: int = 4,
    broker: str = "",
) -> Iterator[Joined]:
    """A door that runs no jobs, and workers, for as long as the block. `broker` is one of one's own."""
    dispatch, _, over = engine.partition("-")
    with ExitStack() as stack:
        if "redis" in engine:
            broker = broker or stack.enter_context(redis_service.store())
        elif "rabbitmq" in engine:
            broker = broker or stack.enter_context(rabbit_service.vhost())
        url = stack.enter_context(postgres_service.database()) if database == "postgres" else ""
        said = f'broker = "{broker}"' if broker else ""
        command = celery_process.WORKER if over else _WORKER
        site = Site(
            folder,
            _CONFIG.format(dispatch=dispatch, broker=said, slots=slots),
            database=url,
            workers=(command,) * workers,
        )
        yield Joined(stack.enter_context(opened(site)), engine, broker, command)
