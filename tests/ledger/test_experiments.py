"""Experiments and outcomes in either database."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from experiments.made import experiment
from gatemill.core.errors import IdempotencyKeyReused, RateLimited
from gatemill.ledger import experiment_rows, outcomes, queries, usage
from gatemill.ledger.outcomes import Outcome, Wanted
from usage_rows import usage_row

SQL = queries.load("experiments")
NOW_S = 1_000.0
SAID = Outcome("exp_1", "m1", "thumbs", "one", "u1", "", "k", 1.0, NOW_S)
EVERY = Wanted("exp_1", 0.0, 1e9)


@pytest.fixture
def one(database):
    """A running experiment in the database."""
    found = experiment()
    database.run(SQL["insert_experiment"], experiment_rows.written(found))
    return found


def tell(database, most=100, **more):
    return outcomes.tell(database, replace(SAID, **more), most)


def kept(database):
    row = database.rows(SQL["read_experiment"], {"id": "exp_1"})[0]
    return experiment_rows.read(row).feedback


def test_an_experiment_is_read_as_it_was_written(database, one):
    for name in (one.id, one.name):
        (row,) = database.rows(SQL["read_experiment"], {"id": name})
        assert experiment_rows.read(row) == one


def test_an_outcome_counts_once(database, one):
    assert tell(database) is True
    assert tell(database) is True
    refused = tell(database, value=0.0)
    assert isinstance(refused, IdempotencyKeyReused)
    assert kept(database) == 1
    assert tell(database, value=0.0, replaces=True) is True
    (found,) = outcomes.sums(database, EVERY).told
    assert (found.units, found.center + found.total) == (1, 0.0)


def test_several_values_of_one_unit_are_their_mean(database, one):
    for number, value in enumerate((1.0, 1.0, 0.0, 0.0)):
        tell(database, mark=f"a{number}", value=value)
    tell(database, mark="b", unit="u2", value=1.0)
    (found,) = outcomes.sums(database, EVERY).told
    assert (found.units, found.times) == (2, 5)
    assert found.center + found.total / 2 == pytest.approx(0.75)
    assert found.squares == pytest.approx(0.125)


def test_what_has_ended_takes_no_outcomes_and_what_is_full_says_so(database, one):
    ended = replace(one, state="concluded")
    database.run(SQL["update_experiment"], experiment_rows.written(ended))
    assert tell(database) is False
    assert tell(database, experiment_id="exp_none") is False
    database.run(SQL["update_experiment"], experiment_rows.written(one))
    assert tell(database, 1) is True
    database.run(SQL["update_experiment"], experiment_rows.written(ended))
    assert tell(database, value=0.0, replaces=True) is False
    assert tell(database, replaces=True) is True  # the same once more
    (found,) = outcomes.sums(database, EVERY).told
    assert found.center + found.total == 1.0
    database.run(SQL["update_experiment"], experiment_rows.written(one))
    assert isinstance(tell(database, 1, mark="m2"), RateLimited)


def test_outcomes_are_deleted_in_bounded_steps(database, one, monkeypatch):
    monkeypatch.setattr(outcomes, "DROP_ROWS", 2)
    for number in range(3):
        tell(database, mark=f"m{number}")
    assert outcomes.drop(database, "exp_1") is True
    assert outcomes.drop(database, "exp_1") is False
    assert outcomes.sums(database, EVERY).told == []


def row(number, arm, request, attempt=1, **more):
    said = {"experiment_id": "exp_1", "version": arm, "request_id": request, "attempt": attempt}
    return usage_row(number, at=NOW_S + number, **{**said, **more})


def test_a_request_counts_once_with_all_its_attempts(database, one):
    rows = [
        row(1, "one", "r1", error="upstream_timeout", latency_ms=50.0, cost_microusd=10),
        row(2, "one", "r1", 2, latency_ms=20.0, cost_microusd=30),
        row(3, "one", "r2", error="upstream_timeout", latency_ms=900.0, cost_microusd=0),
        row(4, "two/x", "r3", latency_ms=40.0, cost_microusd=None),
        row(5, "two", "r4", latency_ms=60.0, cost_microusd=20),
        row(6, "one", "r5", experiment_id="exp_2"),
    ]
    usage.insert(database, rows, NOW_S)
    found = {each.version: each for each in outcomes.sums(database, EVERY).counted}
    assert found.keys() == {"one", "two", "two/x"}
    one_arm = found["one"]
    assert (one_arm.requests, one_arm.failed, one_arm.latency_count) == (2, 1, 1)
    assert one_arm.latency_center + one_arm.latency_total == pytest.approx(70.0)
    assert one_arm.cost_center * 2 + one_arm.cost_total == pytest.approx(0.00004)
    assert found["two/x"].cost_count == 0  # unknown is not nothing
    assert found["two/x"].arm == "two"
    assert outcomes.latency(database, EVERY, "one") == pytest.approx(70.0)
    assert outcomes.latency(database, EVERY, "two") == pytest.approx(60.0)
    assert outcomes.latency(database, EVERY, "tw") is None
    assert outcomes.sums(database, Wanted("exp_1", 0.0, NOW_S)).counted == []


def test_the_95th_percentile_is_the_nearest_rank(database, one):
    rows = [row(number, "one", f"r{number}", latency_ms=float(number)) for number in range(1, 101)]
    usage.insert(database, rows, NOW_S)
    assert outcomes.latency(database, EVERY, "one") == 95.0


def test_one_process_at_a_time_looks_at_the_guardrails(database, one):
    turn = {"id": one.id, "now_s": 100.0, "before_s": 95.0}
    assert database.run(SQL["take_turn"], turn) == 1
    assert database.run(SQL["take_turn"], turn) == 0
    assert database.run(SQL["take_turn"], {**turn, "now_s": 106.0, "before_s": 101.0}) == 1
