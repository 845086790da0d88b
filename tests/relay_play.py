"""A relay with everything around it, and a stream that has reached the door."""

from __future__ import annotations

import asyncio

from gatemill.core.call import Attempt
from gatemill.core.clock import FakeClock
from gatemill.core.errors import GatemillError
from gatemill.upstream.relay import Relay
from gatemill.wire.passage import ChatPassage
from playbook import HELLO, ROLE, Scripted, target
from transports import Remembered

TAIL = b": the end\n\n"


class Stage:
    """A relay with everything around it."""

    def __init__(self, *at_once: bytes) -> None:
        self.source = Scripted(*at_once)
        self.clock = FakeClock()
        self.attempt = Attempt(target=target(), number=1, started_s=0.0)
        self.relay = Relay(
            self.source, ChatPassage(strip_usage=True), self.attempt, self.clock.monotonic_s
        )
        self.sink = Remembered()
        self.settled: list[GatemillError | None] = []

    def settle(self, error: GatemillError | None) -> bytes:
        self.settled.append(error)
        return TAIL

    async def started(self) -> asyncio.Task[None]:
        task = asyncio.ensure_future(self.relay.start())
        await asyncio.sleep(0)
        return task

    def open_door(self) -> None:
        self.relay.on_end(self.settle)
        self.relay.attach(self.sink)


async def flowing(*more: bytes) -> Stage:
    """A stream that has begun and reaches the door."""
    stage = Stage(ROLE, HELLO, *more)
    await stage.relay.start()
    stage.open_door()
    return stage
