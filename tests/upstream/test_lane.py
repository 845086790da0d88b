"""The way to one target: what it learns, who waits for it, and what a reload leaves."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from gatemill.core.call import Attempt
from gatemill.core.clock import FakeClock
from gatemill.core.errors import (
    ClientGone,
    DeadlineExceeded,
    GatemillError,
    QueueFull,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gatemill.policy.breaker import CLOSED, HALF_OPEN, OPEN, BreakerSettings
from gatemill.providers import openai
from gatemill.upstream.keys import KeyPool
from gatemill.upstream.lane import Lane, Lanes, LaneSettings, Slot
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


# --- Queue -----------------------------------------------------------------------------------------


async def test_who_waits_gets_the_place_that_becomes_free_in_order():
    road = busy(2)
    order: list[int] = []

    async def wait(number: int) -> Slot | None:
        slot = await road.lane.wait(LATER, road.clock.monotonic_s)
        order.append(number)
        return slot

    tasks = [asyncio.ensure_future(wait(number)) for number in range(4)]
    await turn()
    assert (road.numbers.waiting, road.numbers.in_flight) == (4, 2)
    assert road.lane.enter(road.now_s, LATER) is None, "nobody overtakes"
    for slot in road.held:
        road.end(slot)
    await turn()
    assert order == [0, 1]
    for task in tasks[:2]:
        slot = await task
        assert slot is not None
        road.end(road.begun(slot))
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]
    assert (road.numbers.waiting, road.numbers.in_flight) == (0, 2)


async def test_a_full_queue_refuses_at_once():
    road = busy(waiting_max=1)
    first = road.queue()
    await turn()
    with pytest.raises(QueueFull) as caught:
        await road.queue()
    assert caught.value.falls_back
    assert road.numbers.queue_full == 1
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_wait_ends_after_wait_s():
    road = busy(wait_s=0.01)
    with pytest.raises(QueueFull):
        await road.queue()
    assert (road.numbers.queue_full, road.numbers.waiting, road.numbers.in_flight) == (1, 0, 1)


async def test_a_wait_ends_with_the_deadline():
    road = busy()
    with pytest.raises(DeadlineExceeded):
        await road.queue(deadline_s=0.01)
    assert (road.numbers.queue_full, road.numbers.waiting) == (0, 0)


async def test_who_is_cancelled_leaves_the_queue_and_passes_the_turn_on():
    road = busy()
    tasks = [road.queue() for _ in range(3)]
    await turn()
    tasks[1].cancel()
    await turn()
    assert road.numbers.waiting == 2
    road.end(road.held[0])  # the place goes to the first, who leaves in this very moment
    tasks[0].cancel()
    await turn()
    assert tasks[0].cancelled()
    assert tasks[1].cancelled()
    slot = await tasks[2]
    assert slot is not None
    assert road.numbers.in_flight == 1


async def test_a_place_that_frees_in_the_moment_of_a_cancel_goes_to_the_next():
    road = busy()
    tasks = [road.queue() for _ in range(2)]
    await turn()
    tasks[0].cancel()  # its future is cancelled, and still stands in the queue
    road.end(road.held[0])
    assert await tasks[1] is not None
    assert tasks[0].cancelled()
    assert (road.numbers.in_flight, road.numbers.waiting) == (1, 0)


async def test_whoever_waits_is_sent_elsewhere_when_the_target_is_ejected():
    road = busy(2)
    tasks = [road.queue() for _ in range(3)]
    await turn()
    for slot in road.held:
        road.end(slot, DOWN)
    assert await asyncio.gather(*tasks) == [None] * 3
    assert road.numbers.state == OPEN
    assert (road.numbers.in_flight, road.numbers.waiting) == (0, 0)


async def test_they_are_sent_away_at_once_also_while_others_are_under_way():
    road = busy(4)
    tasks = [road.queue() for _ in range(2)]
    await turn()
    for slot in road.held[:2]:  # overloaded: the limit falls to 2, and 2 go on
        road.end(slot, UpstreamOverloaded("503"))
    assert await asyncio.gather(*tasks) == [None, None]
    assert (road.numbers.in_flight, road.numbers.limit) == (2, 2)


async def test_a_turn_that_finds_the_target_ejected_is_given_back():
    road = busy(1)
    task = road.queue()
    await turn()
    road.end(road.held[0])  # the turn is given, and before it is taken the target fails elsewhere
    for _ in range(2):
        slot = Slot(road.lane, road.lane._breaker.generation, LATER, is_probe=False, key=None)
        road.lane.in_flight += 1
        road.end(road.begun(slot), DOWN)
    assert await task is None
    assert road.numbers.in_flight == 0


async def test_a_turn_that_finds_all_keys_at_rest_is_given_back():
    road = Road(LaneSettings(breaker=QUICK.breaker, concurrency_max=1), "sk-first-0001")
    held = road.enter()
    task = road.queue()
    await turn()
    road.end(held, UpstreamAuthFailed("401"))
    assert await task is None
    assert road.numbers.in_flight == 0


async def test_a_higher_maximum_lets_those_in_who_wait():
    road = busy(1)
    task = road.queue()
    await turn()
    road.lane.configure(LaneSettings(breaker=QUICK.breaker, concurrency_max=2), None)
    assert await task is not None


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
