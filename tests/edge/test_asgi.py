"""A server that cancels an application whose stream says nothing."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from gatemill.edge import hot
from gatemill.edge.asgi import FlowResponse


class Silent:
    """A stream that never says anything."""

    sent_events = 0
    aborted = False

    def attach(self, _sink: object) -> None:
        pass

    def abort(self) -> None:
        self.aborted = True


async def for_ever() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


async def dropped(_message: object) -> None:
    pass


async def test_a_stream_that_is_cancelled_leaves_no_task():
    stream = Silent()
    answer = hot.Answer(200, hot.STREAM, b"", stream, "chat", "openai", "r1")
    before = asyncio.all_tasks()
    response = FlowResponse(SimpleNamespace(streams=set()), answer)
    task = asyncio.ensure_future(response({}, for_ever, dropped))
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert stream.aborted
    assert asyncio.all_tasks() == before
