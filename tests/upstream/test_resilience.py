"""Breakers, keys and deadlines over real sockets, against the fake provider."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import heavy
from gatemill.core.call import Target, TargetSettings, Timeouts
from gatemill.core.errors import DeadlineExceeded, UpstreamUnreachable
from gatemill.fake_provider.server import FakeProvider, start
from gatemill.policy.breaker import CLOSED, OPEN, BreakerSettings
from gatemill.providers import openai
from gatemill.upstream.attempt import Retries, Tries, attempt
from gatemill.upstream.keys import KeyPool
from gatemill.upstream.lane import Lane, LaneSettings
from gatemill.upstream.pool import Pool
from gatemill.wire import chat
from playbook import call

CALLERS = 500
WIDE = LaneSettings(breaker=BreakerSettings(failures=1, window_s=60, open_s=10))


async def _no_more(*_) -> None: ...


TRIES = Tries(
    now=time.monotonic,
    sleep=asyncio.sleep,
    rng=random.random,
    retries=Retries(),
    opening=lambda *_: None,
    more=_no_more,
)


class Site:
    """A provider, and targets there."""

    def __init__(self, provider: FakeProvider) -> None:
        self.provider = provider
        self.pools: list[Pool] = []

    def target(self, model: str, lane: Lane) -> Target:
        secret = () if lane.keys is not None else openai.secret_headers("sk-fixed-0000")
        pool = Pool(f"{self.provider.url}/v1", secret, connections_max=256, tls=None)
        self.pools.append(pool)
        return Target(
            provider="fake",
            model=model,
            dialect=openai,
            transport=pool,
            timeouts=Timeouts(),
            price=None,
            settings=TargetSettings(),
            lane=lane,
            label=lane.label,
        )


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    provider = await start("127.0.0.1", 0)
    made = Site(provider)
    try:
        yield made
    finally:
        for pool in made.pools:
            await pool.close()
        await provider.stop()


def due() -> Lane:
    """A lane that was ejected some time ago: a probe is due."""
    lane = Lane("fake/ejected", WIDE, None)
    long_ago_s = time.monotonic() - 20
    slot = lane.enter(long_ago_s, long_ago_s + 1)
    assert slot is not None
    slot.end(UpstreamUnreachable("no"), long_ago_s)
    assert lane.numbers(long_ago_s).state == OPEN
    return lane


@pytest.mark.parametrize(
    ("model", "state"), [("fake+first-byte=0.3", CLOSED), ("fake+first-byte=0.1+status=503", OPEN)]
)
async def test_five_hundred_callers_make_one_probe_and_the_rest_goes_to_the_second_target(
    model: str, state: int
):
    async with site() as first, site() as second:
        lane = due()
        targets = [first.target(model, lane), second.target("fake", Lane("fake/b", WIDE, None))]
        made = [call(deadline_s=time.monotonic() + 30) for _ in range(CALLERS)]
        replies = await asyncio.gather(*(attempt(targets, chat, each, TRIES) for each in made))
        assert len(replies) == CALLERS
        assert all(b'"chat.completion"' in reply.body for reply in replies)
        assert len(first.provider.journal) == 1
        assert len(second.provider.journal) == CALLERS - (state == CLOSED)
        numbers = lane.numbers(time.monotonic())
        assert (numbers.state, numbers.probes, numbers.in_flight) == (state, 1, 0)


async def test_a_refused_key_gives_way_to_the_next_and_is_not_used_again():
    async with site() as place:
        secrets = [f"sk-secret-000{number}" for number in (1, 2, 3)]
        lane = Lane("fake/m", WIDE, KeyPool("fake", secrets, openai.secret_headers))
        target = place.target("fake+first=1+auth", lane)
        for _ in range(5):
            made = call(deadline_s=time.monotonic() + 30)
            assert (await attempt([target], chat, made, TRIES)).body
        rows = list(place.provider.journal)
        assert [row.status for row in rows] == [401, 200, 200, 200, 200, 200]
        seen = [row.header("authorization")[-4:] for row in rows]
        assert seen == ["0001", "0002", "0003", "0002", "0003", "0002"]
        assert {len([n for n, _ in row.headers if n == "authorization"]) for row in rows} == {1}


async def test_a_limited_key_rests_as_long_as_the_provider_says():
    async with site() as place:
        secrets = ["sk-secret-0001", "sk-secret-0002"]
        lane = Lane("fake/m", WIDE, KeyPool("fake", secrets, openai.secret_headers))
        target = place.target("fake+first=1+status=429+retry-after=900", lane)
        await attempt([target], chat, call(deadline_s=time.monotonic() + 30), TRIES)
        assert [row.header("authorization")[-4:] for row in place.provider.journal] == [
            "0001",
            "0002",
        ]
        assert lane.keys is not None
        assert lane.keys.resting(time.monotonic() + 800) == 1
        assert lane.keys.resting(time.monotonic() + 901) == 0


@pytest.mark.parametrize("streams", [False, True])
async def test_three_silent_targets_end_with_the_deadline(streams: bool):
    async with site() as place:
        targets = [place.target("fake+hang", Lane(f"fake/{n}", WIDE, None)) for n in range(3)]
        started_s = time.monotonic()
        made = call(stream=streams, deadline_s=started_s + 0.3)
        with pytest.raises(DeadlineExceeded):
            await attempt(targets, chat, made, TRIES)
        assert 0.3 <= time.monotonic() - started_s < heavy.within(5.0)
        assert [tried.error for tried in made.attempts] == ["deadline_exceeded"]
        for target in targets:
            assert target.lane.is_ready(time.monotonic()), "the caller's patience ended, not ours"


@pytest.mark.parametrize(
    "faults",
    ["status=503", "status=500", "close", "abort", "bad-json", "error-200", "html-error", "cut=0"],
)
async def test_the_second_target_answers_whatever_the_first_one_does(faults: str):
    async with site() as first, site() as second:
        # The breaker does not try it again, however long the machine takes over the rest.
        lane = Lane("fake/a", LaneSettings(breaker=BreakerSettings(open_s=600)), None)
        targets = [
            first.target(f"fake+{faults}", lane),
            second.target("fake", Lane("fake/b", LaneSettings(), None)),
        ]
        for _ in range(4):
            made = [call(deadline_s=time.monotonic() + 30) for _ in range(25)]
            replies = await asyncio.gather(*(attempt(targets, chat, each, TRIES) for each in made))
            assert all(b"Hello from fake-provider." in reply.body for reply in replies)
        assert lane.numbers(time.monotonic()).state == OPEN
        assert len(first.provider.journal) <= 25
        assert len(second.provider.journal) == 100
