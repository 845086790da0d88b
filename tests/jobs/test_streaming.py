"""Answers on their way to a broker: each arrives, or something in its place does."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

from msgspec import Raw

from gatemill.dispatch.stream import TooLarge
from gatemill.jobs import streaming


class Target:
    """A broker that takes small messages only."""

    def __init__(self):
        self.taken = []

    async def send(self, message_id, body):
        if len(body) > 500:
            raise TooLarge
        self.taken.append((message_id, json.loads(body)))


async def test_an_answer_that_the_broker_finds_too_large_ends_as_a_failure_that_says_so():
    said = {"status": "succeeded", "answer": "x" * 500}

    async def step(_name, _make):
        return said

    ctx = SimpleNamespace(job=SimpleNamespace(id="job_1"), step=step)
    target = Target()
    using = asyncio.ensure_future(streaming.outlet.use(target))
    await asyncio.sleep(0)
    try:
        assert await streaming.run(ctx, streaming.Args("m-1", "chat", Raw(b"{}"))) == said
        assert not using.done()
    finally:
        using.cancel()
        await asyncio.wait((using,))
    ((message_id, told),) = target.taken
    assert (message_id, told["job_id"], told["status"]) == ("m-1", "job_1", "failed")
    assert told["error"]["code"] == "result_too_large"
