"""A lane with a clock, and one on which all places are taken."""

from __future__ import annotations

import asyncio

from gatemill.core.call import Attempt
from gatemill.core.clock import FakeClock
from gatemill.core.errors import GatemillError, UpstreamUnreachable
from gatemill.policy.breaker import OPEN, BreakerSettings
from gatemill.providers import openai
from gatemill.upstream.keys import KeyPool
from gatemill.upstream.lane import Lane, LaneSettings, Slot
from playbook import target

QUICK = LaneSettings(breaker=BreakerSettings(failures=2, window_s=60, open_s=10, ramp_s=0))
DOWN = UpstreamUnreachable("no")
LATER = 1000.0  # a deadline that nobody meets


class Road:
    """A lane with a clock."""

    def __init__(self, settings: LaneSettings = QUICK, *secrets: str) -> None:
        self.clock = FakeClock()
        keys = KeyPool("p", secrets, openai.secret_headers) if secrets else None
        self.lane = Lane("p/m", settings, keys)

    @property
    def now_s(self) -> float:
        return self.clock.monotonic_s()

    @property
    def numbers(self):
        return self.lane.numbers(self.now_s)

    def enter(self, deadline_s: float = LATER) -> Slot:
        slot = self.lane.enter(self.now_s, deadline_s)
        assert slot is not None
        return self.begun(slot)

    def begun(self, slot: Slot) -> Slot:
        slot.tried = Attempt(target(), 1, self.now_s)
        return slot

    def end(self, slot: Slot, error: GatemillError | None = None) -> None:
        slot.end(error, self.now_s)

    def one(self, error: GatemillError | None = None) -> None:
        self.end(self.enter(), error)

    def open(self) -> None:
        self.one(DOWN)
        self.one(DOWN)
        assert self.numbers.state == OPEN

    def queue(self, deadline_s: float = LATER) -> asyncio.Task[Slot | None]:
        return asyncio.ensure_future(self.lane.wait(deadline_s, self.clock.monotonic_s))


def busy(limit: int = 1, **settings) -> Road:
    """A road on which all places are taken."""
    road = Road(LaneSettings(breaker=QUICK.breaker, concurrency_max=limit, **settings))
    road.held = [road.enter() for _ in range(limit)]
    return road


async def turn() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)
