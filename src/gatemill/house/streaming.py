"""A house that takes requests from a queue or a topic. Rule: it runs their jobs itself, and no others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from gatemill.dispatch import stream
from gatemill.dispatch.stream import Away
from gatemill.jobs import streaming
from gatemill.jobs.streaming import Intake
from gatemill.settings.jobs import Queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.house.root import House
    from gatemill.jobs.streaming import Stream
    from gatemill.settings.model import Settings

PAUSE_S = 1.0  # before a broker is tried again


def with_stream(settings: Settings, of: Stream, slots: int) -> Settings:
    """These settings, with the kind and the queue of a stream, and workers that find jobs by looking."""
    jobs = settings.jobs
    more = {
        "dispatch": "sql",
        "broker": None,
        "slots": slots,
        "kinds": (*jobs.kinds, streaming.__name__),
        "queues": {**jobs.queues, of.queue: Queue.model_validate({"slots": slots})},
    }
    return settings.model_copy(update={"jobs": jobs.model_copy(update=more)})


async def take(current: Callable[[], House], of: Stream, url: str) -> None:
    """Messages become jobs, until this is cancelled; the broker may go and come back.

    Raises InvalidValue for a URL that names nothing.
    """
    intake = Intake(of, lambda: current().jobs.services)
    condition = _Condition("source")
    while True:
        try:
            source = await stream.source(url, f"gatemill-{of.name}")
        except Away as away:
            condition.failed(away)
            await asyncio.sleep(PAUSE_S)
            continue
        condition.works()
        try:
            async for batch in source.batches():
                await intake.keep(source, batch)
                await source.settle(batch)
        except Away as away:
            condition.failed(away)
            await asyncio.sleep(PAUSE_S)
        finally:
            await source.close()


async def publish(url: str) -> None:
    """Answers go out whenever the broker is there, until this is cancelled.

    Raises InvalidValue for a URL that names nothing.
    """
    condition = _Condition("target")
    while True:
        try:
            target = await stream.target(url)
        except Away as away:
            condition.failed(away)
            await asyncio.sleep(PAUSE_S)
            continue
        condition.works()
        try:
            await streaming.outlet.use(target)
        finally:
            await target.close()


class _Condition:
    """Whether a broker answers; each change is a line in the log."""

    def __init__(self, end: str) -> None:
        self._end = end
        self._is_away: bool | None = None  # None: not known yet

    def failed(self, away: Away) -> None:
        if not self._is_away:
            self._is_away = True
            structlog.get_logger().warning("stream_away", end=self._end, reason=str(away))

    def works(self) -> None:
        if self._is_away is not False:
            self._is_away = False
            structlog.get_logger().info("stream_open", end=self._end)
