"""The way to one target: what it learns, and what a reload leaves."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from gatemill.core.errors import (
    ClientGone,
    DeadlineExceeded,
    GatemillError,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
)
from gatemill.policy.breaker import CLOSED, HALF_OPEN, OPEN
from gatemill.providers import openai
from gatemill.upstream.lane import Lanes, LaneSettings
from lane_play import DOWN, LATER, QUICK, Road

# --- Breaker -------------------------------------------------------------------------------------


def test_failures_open_it_and_a_good_probe_closes_it_each_with_one_line_and_one_count():
    road = Road()
    with capture_logs() as lines:
        road.open()
        assert road.lane.enter(road.now_s, LATER) is None
        road.clock.advance(10)
        probe = road.enter()
        assert probe.is_probe
        assert road.numbers.state == HALF_OPEN
        assert [road.lane.enter(road.now_s, LATER) for _ in range(500)] == [None] * 500
        road.end(probe)
    assert road.numbers.state == CLOSED
    assert [line["event"] for line in lines] == [
        "target_opened",
        "target_half_open",
        "target_closed",
    ]
    assert lines[0] == {
        "event": "target_opened",
        "log_level": "warning",
        "target": "p/m",
        "why": "2 of 2 attempts failed",
        "error": "upstream_unreachable",
        "seconds": 10,
    }
    numbers = road.numbers
    assert (numbers.opened, numbers.probes, numbers.closed, numbers.in_flight) == (1, 1, 1, 0)


def test_a_failed_probe_opens_it_for_longer():
    road = Road()
    road.open()
    road.clock.advance(10)
    with capture_logs() as lines:
        road.one(DOWN)
    assert (lines[-1]["why"], lines[-1]["seconds"]) == ("the probe failed", 20)
    assert road.lane.opens_s(road.now_s) == 20
    assert road.lane.share(road.now_s) == 0


def test_probes_that_say_nothing_are_not_a_line_each():
    road = Road()
    road.open()
    road.clock.advance(10)
    with capture_logs() as lines:
        for _ in range(20):
            road.one(ClientGone("left"))
    assert [line["event"] for line in lines] == ["target_half_open"]
    assert road.numbers.probes == 20
    assert road.lane.is_ready(road.now_s)


@pytest.mark.parametrize(
    "error",
    [
        ClientGone("left"),
        UpstreamRefused("voice?"),
        UpstreamRateLimited("slow down"),
        UpstreamAuthFailed("key"),
        DeadlineExceeded("late"),
    ],
)
def test_callers_and_accounts_never_open_it(error: GatemillError):
    road = Road()
    for _ in range(50):
        road.one(error)
    assert (road.numbers.state, road.numbers.in_flight) == (CLOSED, 0)


@pytest.mark.parametrize(
    "error", [ClientGone("left"), UpstreamRefused("voice?"), GatemillError("?")]
)
def test_what_callers_do_is_not_told_as_the_targets_last_failure(error: GatemillError):
    road = Road()
    road.one(DOWN)
    road.one(error)
    assert road.numbers.error == DOWN.code


def test_a_model_that_the_provider_does_not_know_never_opens_it():
    road = Road()
    for _ in range(10):
        slot = road.enter()
        slot.status = 404
        road.end(slot, UpstreamError("no such model"))
    assert road.numbers.state == CLOSED


def test_a_timeout_at_the_callers_own_deadline_is_not_the_targets_failure():
    road = Road()
    for _ in range(10):
        slot = road.enter(deadline_s=road.now_s + 1)
        road.clock.advance(1)
        road.end(slot, UpstreamTimeout("total_s"))
    assert (road.numbers.state, road.numbers.limit) == (CLOSED, 256)
    for _ in range(2):
        slot = road.enter(deadline_s=road.now_s + 2)
        road.clock.advance(1)
        road.end(slot, UpstreamTimeout("first_token_s"))
    assert road.numbers.state == OPEN


def test_a_slot_ends_once():
    road = Road()
    slot = road.enter()
    road.end(slot)
    road.end(slot, DOWN)
    road.end(slot, DOWN)
    assert (road.numbers.state, road.numbers.in_flight) == (CLOSED, 0)


def test_an_attempt_that_was_forced_says_nothing_unless_a_probe_is_due():
    road = Road()
    road.open()
    forced = road.lane.force(road.now_s, LATER)
    assert forced is not None
    assert not forced.is_probe
    road.end(road.begun(forced))
    assert road.numbers.state == OPEN
    road.clock.advance(10)
    probe = road.lane.force(road.now_s, LATER)
    assert probe is not None
    assert probe.is_probe
    road.end(road.begun(probe))
    assert road.numbers.state == CLOSED


def test_nobody_is_forced_where_there_is_no_room():
    road = Road(LaneSettings(breaker=QUICK.breaker, concurrency_max=1))
    road.open()
    assert road.lane.force(road.now_s, LATER) is not None
    assert road.lane.force(road.now_s, LATER) is None


# --- Load ------------------------------------------------------------------------------------------


def test_the_load_is_the_latency_times_the_requests_under_way_and_one():
    road = Road()
    assert road.lane.load_s(0) == 0
    road.lane.latency.observe(0.5, 0)
    held = [road.enter(), road.enter()]
    assert road.lane.load_s(0) == 1.5
    for slot in held:
        road.end(slot)
    assert road.lane.load_s(0) == 0.5


def test_a_silence_counts_as_latency_and_lowers_the_limit():
    road = Road()
    slot = road.enter()
    road.clock.advance(4)
    road.end(slot, UpstreamTimeout("first_token_s"))
    assert road.lane.load_s(road.now_s) == 4
    assert road.numbers.limit == 179


def test_a_timeout_after_the_first_byte_is_no_overload():
    road = Road()
    slot = road.enter()
    assert slot.tried is not None
    slot.tried.first_byte_s = 0.5
    road.clock.advance(4)
    road.end(slot, UpstreamTimeout("between_chunks_s"))
    assert (road.lane.load_s(road.now_s), road.numbers.limit) == (0, 256)


@pytest.mark.parametrize("error", [UpstreamRateLimited("429"), UpstreamOverloaded("529")])
def test_a_provider_that_says_it_is_too_much_gets_less(error: GatemillError):
    road = Road()
    road.one(error)
    assert road.numbers.limit == 179
    for _ in range(179):
        road.one()
    assert road.numbers.limit == 180


# --- Keys ------------------------------------------------------------------------------------------


def test_a_refused_key_rests_and_the_next_one_is_used():
    road = Road(QUICK, "sk-first-0001", "sk-second-0002")
    slot = road.enter()
    road.end(slot, UpstreamAuthFailed("401"))
    assert road.numbers.keys_resting == 1
    other = road.enter()
    assert slot.key is not None
    assert other.key is not None
    assert (slot.key.shown, other.key.shown) == ("...0001", "...0002")


def test_a_target_whose_keys_all_rest_is_not_ready_until_one_wakes():
    road = Road(QUICK, "sk-first-0001", "sk-second-0002")
    road.one(UpstreamRateLimited("429", retry_after_s=3.0))
    road.one(UpstreamRateLimited("429", retry_after_s=5.0))
    assert not road.lane.is_ready(road.now_s)
    assert road.lane.opens_s(road.now_s) == 3
    assert road.lane.enter(road.now_s, LATER) is None
    forced = road.lane.force(road.now_s, LATER)
    assert forced is not None
    assert forced.key is not None
    assert forced.key.shown == "...0001"
    road.end(road.begun(forced))
    road.clock.advance(3)
    road.one()


def test_one_limited_key_of_several_is_no_overload_but_the_last_one_is():
    road = Road(QUICK, "sk-first-0001", "sk-second-0002")
    road.one(UpstreamRateLimited("429"))
    assert road.numbers.limit == 256
    road.one(UpstreamRateLimited("429"))
    assert road.numbers.limit == 179


# --- Over a reload -----------------------------------------------------------------------------------


def test_the_lane_of_a_label_stays_and_obeys_new_settings():
    lanes = Lanes()
    lane = lanes.of("p/m", QUICK)
    for _ in range(2):
        slot = lane.enter(0, LATER)
        assert slot is not None
        slot.end(DOWN, 0)
    wider = LaneSettings(concurrency_max=7)
    assert lanes.of("p/m", wider) is lane
    (numbers,) = lanes.metrics(0)
    assert (numbers.label, numbers.state, numbers.limit) == ("p/m", OPEN, 7)
    assert lanes.of("p/m", wider) is lane
    assert lanes.of("p/other", wider) is not lane


def test_new_keys_replace_the_old_ones_and_a_pool_where_none_was_is_a_new_lane():
    lanes = Lanes()
    single = lanes.of("p/m", QUICK)
    first = lanes.keys("p", ("sk-first-0001",), openai.secret_headers)
    pooled = lanes.of("p/m", QUICK, first)
    assert single is not pooled
    first.rest(first.keys[0], 300, 0, "upstream_auth_failed")
    second = lanes.keys("p", ("sk-first-0001", "sk-second-0002"), openai.secret_headers)
    assert lanes.of("p/m", QUICK, second) is pooled
    (numbers,) = lanes.metrics(1)
    assert numbers.keys_resting == 1
    assert pooled.is_ready(1)


def test_the_number_of_lanes_is_bounded_and_idle_ones_go_first():
    lanes = Lanes(lanes_max=2)
    used = lanes.of("p/used", QUICK)
    slot = used.enter(0, LATER)
    lanes.of("p/idle", QUICK)
    lanes.of("p/new", QUICK)
    assert [numbers.label for numbers in lanes.metrics(0)] == ["p/used", "p/new"]
    new = lanes.of("p/new", QUICK)
    new.enter(0, LATER)
    lanes.of("p/last", QUICK)
    assert [numbers.label for numbers in lanes.metrics(0)] == ["p/new", "p/last"]
    assert lanes.forgotten == 2
    assert slot is not None
    slot.end(None, 0)  # whoever still has a forgotten one may go on
