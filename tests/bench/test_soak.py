"""The soak: what it judges, and a short one of a real gateway."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from bench.failures import BenchStopped
from bench.soak import Plan, render, soaked
from bench.soak_inside import Inside
from bench.soak_provider import Count
from bench.soak_stage import Booked, Stage, opened
from bench.soak_verdict import Figures, Rest, accounts, broken
from bench.soak_watch import Watched, slope
from bench.soak_wire import Answer

from bench import soak_mix, soak_stage, soak_verdict
from heavy import say
from quiet_ports import quiet_port

# A whole one: GATEMILL_TEST_SOAK_MINUTES=60, see docs/guides/prove-it.md.
WANTED = "GATEMILL_TEST_SOAK_MINUTES"
MINUTES = float(os.environ.get(WANTED, "0.03"))
REST = Rest(rss_mb=80.0, fds=30, threads=9, inside=Inside(tasks=12))
MODEL = soak_mix.TARGETS["chat"][1]


def _good() -> Figures:
    found = Figures(minutes=60.0, rate_per_s=200.0, before=REST, after=REST)
    found.metered = {MODEL: Count(asked=3, answered=3, prompt_tokens=6, completion_tokens=60)}
    found.booked = {MODEL: Booked(3, 6, 60, 126, 0)}
    return found


def test_a_line_through_growing_samples_has_their_slope_and_its_error():
    line = slope([(float(at), 80.0 + at * 2 / 3600) for at in range(3600)])
    assert line.mb_per_h == pytest.approx(2.0)
    assert line.error == pytest.approx(0.0, abs=1e-6)
    saw = slope([(float(at), 80.0 + at % 7) for at in range(3600)])
    assert abs(saw.mb_per_h) <= 2 * saw.error + 0.1
    assert slope([(0.0, 80.0), (1.0, 81.0)]).error == math.inf


def test_nothing_is_broken_where_every_promise_was_kept():
    found = _good()
    assert broken(found) == []
    assert render(found, []).endswith("verdict      holds\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"failed": {"chat": 2}}, "2 x chat failed"),
        ({"counters": {"lost": 1.0}}, "lost is 1"),
        ({"slope_mb_per_h": 2.0, "slope_error": 0.4}, "memory grows by 2.00 MB an hour"),
        ({"after": Rest(80.0, 36, 9, Inside(tasks=12))}, "open files went from 30 to 36"),
        ({"after": Rest(80.0, 30, 9, Inside(tasks=15))}, "tasks went from 12 to 15"),
        ({"after": Rest(80.0, 30, 12, Inside(tasks=12))}, "threads went from 9 to 12"),
        ({"before": None}, "the gateway was never seen at rest"),
        ({"wal_mb_max": 100.0}, "the database's log grew to 100 MB"),
        ({"journal_mb_max": 9.0}, "the journal grew to 9 MB"),
        ({"loud": ["{}"]}, "1 lines of the log say error"),
        ({"exit_code": -9}, "the gateway ended with -9"),
    ],
)
def test_each_broken_promise_is_said(change: dict[str, object], said: str):
    found = _good()
    for name, value in change.items():
        setattr(found, name, value)
    assert broken(found) == [said]


def test_a_slope_is_judged_only_beyond_its_error_and_after_long_runs():
    found = _good()
    found.slope_mb_per_h, found.slope_error = 2.0, 0.6
    assert broken(found) == []
    found.slope_error, found.minutes = 0.1, 10.0
    assert broken(found) == []


@pytest.mark.parametrize(
    ("book", "said"),
    [
        (Booked(2, 6, 60, 126, 0), "3 attempts at the provider, 2 rows"),
        (Booked(3, 6, 60, 126, 1), "1 rows are not settled"),
        (Booked(3, 6, 60, 125, 0), "the cost is not that of its tokens"),
        (Booked(3, 6, 61, 128, 0), "the provider sold (6, 60) tokens, the ledger has (6, 61)"),
    ],
)
def test_two_accounts_that_differ_are_told_apart(book: Booked, said: str):
    assert accounts(_good().metered, {MODEL: book}) == [f"{MODEL}: {said}"]


def test_what_a_caller_left_may_cost_what_was_estimated_but_no_attempt_is_missing():
    model = soak_mix.TARGETS["slow"][1]
    metered = {model: Count(asked=2, left=2)}
    assert accounts(metered, {model: Booked(3, 5, 1, 7, 0)}) == []
    assert accounts(metered, {model: Booked(1, 5, 1, 7, 0)}) != []
    again = soak_mix.TARGETS["resets"][1]
    assert accounts({again: Count(asked=2, answered=2)}, {again: Booked(1, 0, 0, 0, 0)}) == []


def test_an_attempt_that_never_reached_the_provider_is_a_row_that_it_has_not_seen():
    book = Booked(4, 6, 60, 126, 0, unreached=1)
    assert accounts(_good().metered, {MODEL: book}) == []
    assert accounts(_good().metered, {MODEL: Booked(5, 6, 60, 126, 0, unreached=1)}) == [
        f"{MODEL}: 3 attempts at the provider, 5 rows"
    ]
    again = soak_mix.TARGETS["resets"][1]  # reached, and left without a word: it looks the same
    assert accounts({again: Count(asked=1)}, {again: Booked(2, 0, 0, 0, 0, unreached=1)}) != []


def test_unreached_is_what_ended_before_a_byte_and_free_of_charge(tmp_path: Path):
    (tmp_path / "data").mkdir()
    rows = [
        ("upstream_unreachable", 0, 0, None),
        ("upstream_timeout", 0, 0, None),  # while it connected
        ("upstream_timeout", 9, 9, None),  # it was sent, and may be billed
        ("upstream_unreachable", 0, 0, 3.5),  # a byte had come
        ("upstream_error", 0, 0, None),
        ("", 9, 9, 3.5),
    ]
    with contextlib.closing(sqlite3.connect(tmp_path / "data/gatemill.db")) as database, database:
        database.execute(
            "CREATE TABLE usage (provider, target_model, error, input_tokens, cache_read_tokens,"
            " cache_write_tokens, output_tokens, cost_microusd, unsettled, first_token_ms)"
        )
        database.executemany("INSERT INTO usage VALUES ('up', 'm', ?, ?, 0, 0, 0, ?, 0, ?)", rows)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    watched = Watched(gone.pid, tmp_path, tmp_path / "inside.json")
    stage = Stage(0, "", "", watched, gone, tmp_path / "data", tmp_path / "log")
    assert stage.booked() == {"m": Booked(6, 18, 0, 18, 0, unreached=2)}


def test_a_stream_is_read_with_its_end():
    def event(text: str) -> bytes:
        return b'data: {"choices": [{"delta": {"content": "%b"}}]}\n\n' % text.encode()

    whole = event("word0") + event(" word1") + b"data: [DONE]\n\n"
    assert soak_mix._heard(Answer(200, whole)) == ("word0 word1", "done")
    assert soak_mix._heard(Answer(200, event("word0"))) == ("word0", "cut")
    failed = event("word0") + b'data: {"error": {"message": "x"}}\n\n'
    assert soak_mix._heard(Answer(200, failed)) == ("word0", "error")


def test_a_gateway_that_has_ended_stops_the_run(tmp_path: Path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    watched = Watched(gone.pid, tmp_path, tmp_path / "inside.json")
    stage = Stage(quiet_port(), "", "", watched, gone, tmp_path, tmp_path / "log")
    with pytest.raises(BenchStopped, match="the gateway has ended during the soak"):
        asyncio.run(soaked(stage, Plan(60.0, 1.0), say=False))


async def test_a_gateway_under_everything_at_once_fails_nobody_and_keeps_its_accounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv(WANTED, raising=False)  # the gateway would take it for an option
    monkeypatch.setattr(soak_stage, "free_port", quiet_port)  # others have tests here, too
    plan = Plan(MINUTES * 60, 60.0 if MINUTES < 1 else 200.0, idle_s=0.4 if MINUTES < 1 else 3.0)
    with opened(tmp_path, tuple(os.sched_getaffinity(0)), plan.idle_s) as stage:
        found = await soaked(stage, plan, say=MINUTES >= 1)
    wrong = broken(found)
    say(render(found, wrong))
    assert wrong == []
    # What a busy machine leaves out is said.
    assert found.operations + found.left_out > plan.seconds * plan.rate_per_s / 2
    assert set(found.scripted) == {"provider fails", "stream breaks"}
    assert sum(each.attempts for each in found.booked.values()) > found.operations / 2
    assert soak_verdict.LONG_MINUTES > MINUTES or found.slope_error < 1.0
