"""Several keys of one target: which is tried next, and when another target is."""

from __future__ import annotations

import pytest

from course_play import GOOD, lane_of, run, said
from gatemill.core.call import Target
from gatemill.core.errors import UpstreamRateLimited
from gatemill.policy.retry_budget import RetryBudget
from gatemill.providers import openai
from gatemill.upstream.keys import KeyPool
from gatemill.upstream.lane import Lane, LaneSettings
from playbook import Trying, target


def pooled(*answers, count: int = 3, name: str = "a"):
    secrets = [f"sk-secret-000{number}" for number in range(1, count + 1)]
    lane = Lane(f"{name}/m", LaneSettings(), KeyPool(name, secrets, openai.secret_headers))
    return target(*answers, name=name, lane=lane)


def keys_seen(place: Target) -> list[str]:
    return [dict(out.headers)["authorization"][-4:] for out in place.transport.asked]


@pytest.mark.parametrize("refusal", [said(401), said(402), said(403), said(429)])
async def test_the_next_key_is_tried_at_once(refusal):
    trying, place = Trying(), pooled(refusal, GOOD, GOOD)
    await run(trying, place)
    assert keys_seen(place) == ["0001", "0002"]
    assert trying.pauses == []
    numbers = lane_of(place).numbers(0)
    assert (numbers.retries, numbers.keys_resting) == (0, 1)
    await run(trying, place)
    assert keys_seen(place)[-1] == "0003"


async def test_the_last_attempt_goes_to_another_target_rather_than_to_one_more_key():
    place, second = pooled(said(401), said(401)), target(GOOD, name="b")
    await run(Trying(), place, second)
    assert keys_seen(place) == ["0001", "0002"]
    assert len(second.transport.asked) == 1


async def test_but_to_the_key_where_no_other_target_is_ready():
    place = pooled(said(401), said(401), GOOD)
    await run(Trying(), place)
    assert keys_seen(place) == ["0001", "0002", "0003"]


async def test_when_no_key_is_left_the_call_goes_on_to_the_next_target():
    place = pooled(said(401), count=1)
    await run(Trying(), place, target(GOOD, name="b"))
    assert keys_seen(place) == ["0001"]


async def test_a_limited_single_key_is_waited_for_as_long_as_the_provider_says():
    trying, place = Trying(), pooled(said(429, retry_after="4"), GOOD, count=1)
    await run(trying, place)
    assert trying.pauses == [4]


async def test_a_failure_that_is_not_the_keys_is_repeated_as_any_other():
    trying, place = Trying(), pooled(said(503), GOOD)
    await run(trying, place)
    assert len(trying.pauses) == 1
    assert lane_of(place).numbers(0).keys_resting == 0


async def test_a_key_that_need_not_rest_is_repeated_as_a_target_is_within_its_budget():
    trying, place = Trying(), pooled(said(429, retry_after="0"), count=1)
    lane_of(place).budget = RetryBudget(0.0, 0)
    with pytest.raises(UpstreamRateLimited):
        await run(trying, place)
    assert keys_seen(place) == ["0001"]
    assert lane_of(place).numbers(0).retries_refused == 1


async def test_a_key_that_has_rested_already_is_no_next_key_for_the_same_call():
    limited = said(429, retry_after="0")
    trying, place = Trying(), pooled(limited, limited, GOOD, count=2)
    await run(trying, place)
    assert keys_seen(place) == ["0001", "0002", "0001"]
    assert len(trying.pauses) == lane_of(place).numbers(0).retries == 1
