"""Targets for tests of a call's course, and what became of the call."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from gatemill.core.call import Target
from gatemill.core.errors import GatemillError, UpstreamUnreachable
from gatemill.core.ports import Incoming
from gatemill.policy.breaker import OPEN, BreakerSettings
from gatemill.upstream.attempt import attempt
from gatemill.upstream.lane import Lane, LaneSettings
from gatemill.wire import chat
from playbook import Trying, call, target

BODY = (
    b'{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}'
)
GOOD = Incoming(200, {}, BODY)
QUICK = LaneSettings(breaker=BreakerSettings(failures=1, window_s=60, open_s=10))
DOWN = UpstreamUnreachable("no")


def said(status: int, code: str | None = None, **headers: str) -> Incoming:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    body = msgspec.json.encode({"error": {"message": "no", "code": code}})
    return Incoming(status, names, body)


class Always:
    """A transport that gives the same answer for ever."""

    def __init__(self, answer: Incoming | Exception) -> None:
        self.answer = answer
        self.asked = 0

    async def exchange(self, out, timeouts, deadline_s) -> Incoming:
        self.asked += 1
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def open(self, out, timeouts, deadline_s) -> Incoming:
        return await self.exchange(out, timeouts, deadline_s)

    async def close(self) -> None: ...


class Held:
    """A transport that answers when it is told to."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked = 0

    async def exchange(self, out, timeouts, deadline_s) -> Incoming:
        self.asked += 1
        await self.gate.wait()
        return GOOD


def always(answer: Incoming | Exception, name: str = "a", settings: LaneSettings | None = None):
    lane = Lane(f"{name}/m", settings or LaneSettings(), None)
    return msgspec.structs.replace(target(name=name, lane=lane), transport=Always(answer))


def lane_of(place: Target) -> Lane:
    assert isinstance(place.lane, Lane)
    return place.lane


def asked(place: Target) -> int:
    return place.transport.asked


def opened(place: Target) -> Target:
    """The same target after it was ejected at the time 0."""
    slot = lane_of(place).enter(0, 1)
    assert slot is not None
    slot.end(DOWN, 0)
    assert lane_of(place).numbers(0).state == OPEN
    return place


async def run(trying: Trying, *places: Target, made=None):
    return await attempt(places, chat, made or call(), trying.tries)


async def failure(trying: Trying, *places: Target, made=None) -> GatemillError:
    with pytest.raises(GatemillError) as caught:
        await run(trying, *places, made=made)
    return caught.value
