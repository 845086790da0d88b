"""Numbers of several processes: what is added up, what is not, and what the dead have left."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from gatemill.core.clock import FakeClock
from gatemill.observe.board import Board, bury, folder
from gatemill.observe.metrics import Histogram, Labelled, Meter, Spreads, page
from gatemill.observe.snapshots import GAUGES, together
from gateway_parts import numbers

METRICS = Path(__file__).parents[2] / "docs" / "metrics.md"


def counted(requests: int, state: float = 0.0) -> Meter:
    """A meter of a process that has answered so much."""
    meter = Meter()
    for _ in range(requests):
        series = meter.series("chat", "m", "p", 200)
        series.requests += 1
        series.duration.observe(0.02)
        series.tokens[0] += 5
        meter.attempt("p", "ok")
        meter.loop_lag.observe(0.001)
    meter.error("overloaded")
    meter.unpriced("p")
    meter.in_flight = requests
    meter.counters["gatemill_x"] = ("X.", lambda: requests)
    meter.gauges["gatemill_connections_open"] = ("Open.", lambda: requests)
    meter.gauges["gatemill_limiter_away"] = ("Away.", lambda: bool(state))
    meter.gauges["gatemill_config_last_reload_success"] = ("Good.", lambda: state)
    meter.gauges["gatemill_registry_versions"] = ("Versions.", lambda: requests)
    meter.labelled_gauges["gatemill_target_state"] = Labelled(
        "State.", ("target",), lambda: {("a",): state, (f"own-{requests}",): 1}
    )
    spread = Histogram((1.0, 2.0))
    spread.observe(1.5)
    meter.labelled_histograms["gatemill_h"] = Spreads("H.", ("kind",), lambda: [(("k",), spread)])
    return meter


def test_counts_are_added_and_states_follow_their_rules():
    older, newer = counted(2, 2.0).snapshot(10.0), counted(3, 0.0).snapshot(20.0)
    seen = numbers(Meter.showing(together([newer, older])))
    assert seen['requests_total{model="m",operation="chat",provider="p",status="200"}'] == 5
    assert seen['request_duration_seconds_count{model="m",operation="chat"}'] == 5
    assert seen['tokens_total{direction="input",model="m",provider="p"}'] == 25
    assert seen['attempts_total{outcome="ok",provider="p"}'] == 5
    assert seen['errors_total{code="overloaded"}'] == 2
    assert seen['unpriced_attempts_total{provider="p"}'] == 2
    assert seen["event_loop_lag_seconds_count{}"] == 5
    assert seen["x_total{}"] == 5
    assert seen['h_count{kind="k"}'] == 2
    assert (seen["requests_in_flight{}"], seen["connections_open{}"]) == (5, 5)
    assert (seen["limiter_away{}"], seen['target_state{target="a"}']) == (1, 2)
    assert seen["config_last_reload_success{}"] == 0
    assert seen["registry_versions{}"] == 3
    assert seen['target_state{target="own-2"}'] == seen['target_state{target="own-3"}'] == 1


def test_one_snapshot_says_what_the_meter_says():
    meter = counted(4)
    shown = Meter.showing(meter.snapshot(1.0))
    assert sorted(page(meter, "1", "c").splitlines()) == sorted(page(shown, "1", "c").splitlines())


def test_every_gauge_has_a_rule_for_several_processes():
    gauges = set(re.findall(r"^\| `(\w+)` \| gauge ", METRICS.read_text(), re.MULTILINE))
    assert gauges - {"gatemill_build_info"} <= set(GAUGES), "add it to observe/snapshots.py"


@pytest.fixture
def place():
    with folder() as path:
        yield path
    assert not path.exists()


async def test_the_dead_count_but_are_in_no_state(place):
    clock = FakeClock()
    board = Board(place, clock, counted(3))
    assert numbers(board.together())["x_total{}"] == 3
    bury(place, os.getpid() + 1)  # one that never wrote
    bury(place, os.getpid())
    clock.advance(1.0)
    other = Board(place, clock, counted(2))  # with the same pid as the dead
    for _ in range(2):
        seen = numbers(other.together())
        assert seen["x_total{}"] == 5
        assert seen["connections_open{}"] == 2
    bury(place, os.getpid())
    clock.advance(1.0)
    assert numbers(Board(place, clock, counted(1)).together())["x_total{}"] == 6
    assert len(list(place.iterdir())) == 2  # the dead and one living


async def test_numbers_are_written_when_they_change_and_at_the_end(place):
    meter, clock, sleeps = counted(1), FakeClock(), []
    board = Board(place, clock, meter)
    told = asyncio.Event()

    async def sleep(pause_s: float) -> None:
        sleeps.append((pause_s, [one.stat().st_mtime_ns for one in place.iterdir()]))
        if len(sleeps) == 2:
            told.set()
            await asyncio.Event().wait()

    running = asyncio.get_running_loop().create_task(board.run(sleep))
    await told.wait()
    assert sleeps[0] == sleeps[1]
    meter.error("late")
    running.cancel()
    await asyncio.wait((running,))
    other = Board(place, FakeClock(1.0), counted(1))
    assert numbers(other.together())['errors_total{code="late"}'] == 1


async def test_a_folder_that_takes_nothing_leaves_a_page_of_our_own_numbers(tmp_path):
    board = Board(tmp_path / "gone", FakeClock(), counted(1))
    seen = numbers(board.together())
    assert seen["x_total{}"] == 1
    assert numbers(board.together())["x_total{}"] == 1
    assert numbers(board._meter)["metrics_files_failed_total{}"] == 2


async def test_a_file_of_another_version_is_left_out_and_counted(place):
    (place / "7-1.live").write_bytes(b"\x93nonsense")
    board = Board(place, FakeClock(), counted(1))
    assert numbers(board.together())["x_total{}"] == 1
    bury(place, 7)
    assert (place / "7-1.live").exists()
    assert numbers(board._meter)["metrics_files_failed_total{}"] == 1


async def test_who_outlives_the_supervisor_takes_the_last_file_away(tmp_path):
    place = tmp_path / "numbers"
    place.mkdir()
    board = Board(place, FakeClock(), counted(1))
    board._parent = -1  # somebody else is our parent now
    written = asyncio.Event()

    async def sleep(_pause_s: float) -> None:
        written.set()
        await asyncio.Event().wait()

    running = asyncio.get_running_loop().create_task(board.run(sleep))
    await written.wait()
    assert len(list(place.iterdir())) == 1
    running.cancel()
    await asyncio.wait((running,))
    assert not place.exists()
