"""Sums become arms, intervals and verdicts."""

from __future__ import annotations

import pytest

from experiments.made import DARK, ONE, TWO, counted, experiment, told
from gatemill.experiments import results
from gatemill.ledger.experiment_rows import Metric
from gatemill.ledger.outcomes import Sums


def said(one, *, sent=(), seen=()):
    return results.told(one, Sums(list(sent), list(seen)), {"one": 12.0}, 200.0)


def test_nothing_is_known_at_first():
    found = said(experiment(ONE, TWO, DARK))
    assert [each["verdict"] for each in found["comparisons"]] == ["continue"] * 3
    assert found["arms"][2]["error_rate"] is None
    assert (found["since"], found["until"], found["metric"]) == (100.0, 200.0, "thumbs")


def test_the_arms_of_experiments_below_are_added_up():
    seen = [counted("one", 40, 4), counted("two/x", 30, 3), counted("two/y", 10, 1)]
    first, second = said(experiment(), seen=seen)["arms"]
    assert (first["requests"], second["requests"]) == (40, 40)
    assert first["error_rate"] == second["error_rate"] == pytest.approx(0.1)
    assert second["latency_ms"] == pytest.approx(10.0)
    assert second["cost_usd"] == pytest.approx(0.002)
    assert (first["latency_p95_ms"], second["latency_p95_ms"]) == (12.0, None)


@pytest.mark.parametrize(("direction", "verdict"), [("higher", "a_better"), ("lower", "b_better")])
def test_the_direction_says_who_is_better(direction, verdict):
    one = experiment(metrics=(Metric("thumbs", "binary", direction),))
    (found,) = said(one, sent=[told("one", 800, 0.7), told("two", 800, 0.5)])["comparisons"]
    assert found["verdict"] == verdict
    assert found["diff"] == pytest.approx(0.2)
    assert 0 < found["low"] < found["diff"] < found["high"]


def test_a_margin_makes_small_differences_none():
    one = experiment(metrics=(Metric("thumbs", "binary", margin=0.2),))
    (found,) = said(one, sent=[told("one", 5_000, 0.51), told("two", 5_000, 0.5)])["comparisons"]
    assert found["verdict"] == "equivalent"


def test_more_comparisons_make_each_interval_wider():
    sent = [told(name, 800, share) for name, share in (("one", 0.56), ("two", 0.5))]
    (two,) = said(experiment(ONE, TWO), sent=sent)["comparisons"]
    three = said(experiment(ONE, TWO, DARK), sent=sent)["comparisons"][0]
    assert three["low"] < two["low"]


def test_every_metric_is_told_and_an_automatic_one_may_be_the_first():
    one = experiment(metrics=(Metric("cost_usd", "mean", "lower", 0.5), Metric("thumbs", "binary")))
    seen = [counted("one", 60), counted("two", 60)]
    found = said(one, seen=seen, sent=[told("one", 3, 1.0)])
    assert [each["name"] for each in found["metrics"]] == [
        *("cost_usd", "thumbs", "error_rate", "latency_ms", "tokens")
    ]
    assert found["comparisons"][0]["verdict"] == "equivalent"
    assert [each["n"] for each in found["arms"]] == [60, 60]
    assert found["metrics"][1]["arms"][0] == {"name": "one", "n": 3, "values": 3, "mean": 1.0}
