"""Guardrails stop an arm for what it does now, and leave somebody to answer."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from experiments.made import DARK, ONE, TWO, counted, experiment
from gatemill.experiments import guardrails, results
from gatemill.ledger.experiment_rows import Arm, Guardrail
from gatemill.ledger.outcomes import Sums


def figures(requests, failed=0):
    one = experiment()
    return results.figures(one, Sums([], [counted("one", requests, failed)]))["one"]


@pytest.mark.parametrize(
    ("rail", "requests", "failed", "p95_ms", "word"),
    [
        (Guardrail("error_rate", 0.1, 10), 20, 3, None, "error_rate is 0.15"),
        (Guardrail("error_rate", 0.1, 10), 20, 2, None, ""),
        (Guardrail("error_rate", 0.1, 30), 20, 20, None, ""),  # too few to say
        (Guardrail("cost_usd_mean", 0.001, 10), 20, 0, None, "cost_usd_mean is 0.002"),
        (Guardrail("latency_p95_ms", 50, 10), 20, 0, 51.0, "latency_p95_ms is 51"),
        (Guardrail("latency_p95_ms", 50, 10), 20, 0, 50.0, ""),
        (Guardrail("latency_p95_ms", 50, 10), 20, 15, 51.0, ""),  # five have a latency
        (Guardrail("latency_p95_ms", 50, 1), 20, 0, None, ""),
    ],
)
def test_a_breach(rail, requests, failed, p95_ms, word):
    found = guardrails.breach(rail, figures(requests, failed), p95_ms)
    assert found.startswith(word)
    assert bool(found) == bool(word)


def test_only_arms_that_get_requests_are_watched():
    idle = replace(ONE, name="idle", weight=0.0)
    off = replace(DARK, share=0.0)
    assert guardrails.watched(experiment(ONE, idle, DARK)) == [ONE, DARK]
    assert guardrails.watched(experiment(ONE, off)) == [ONE]


def test_what_was_before_an_arm_was_let_on_again_is_forgiven():
    rail = Guardrail("error_rate", 0.1, 10, window_s=60)
    one = experiment(started_at=100.0)
    assert guardrails.since_s(one, rail, ONE, 120.0) == 100.0
    assert guardrails.since_s(one, rail, ONE, 500.0) == 440.0
    assert guardrails.since_s(one, rail, Arm("x", since=490.0), 500.0) == 490.0


def test_the_last_arm_that_answers_is_not_stopped():
    one = experiment(ONE, TWO, DARK)
    after = guardrails.stopped(one, "one", "slow")
    assert [(arm.weight, arm.stopped) for arm in after.arms] == [(0, "slow"), (1, ""), (0, "")]
    assert guardrails.stopped(after, "two", "slow") is after
    assert guardrails.stopped(after, "one", "slow") is after  # it is stopped already
    dark = guardrails.stopped(after, "dark", "slow").arms[2]
    assert (dark.share, dark.stopped) == (0.0, "slow")
    paused = replace(one, state="paused")
    assert guardrails.stopped(paused, "one", "slow") is paused
    assert guardrails.stopped(one, "gone", "slow") is one
