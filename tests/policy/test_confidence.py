"""Intervals that hold however often one looks: few false alarms, and real differences are found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gatemill.policy import confidence
from gatemill.policy.confidence import Interval, Sample, difference, mean, sample, verdict

LOOKS = 100
Draw = Callable[[np.random.Generator, int], np.ndarray]


def coins(share: float) -> Draw:
    return lambda rng, count: (rng.random(count) < share).astype(float)


def waits(mean_s: float) -> Draw:
    return lambda rng, count: rng.exponential(mean_s, count)


def sample_of(values: list[float] | np.ndarray, center: float = 0.0) -> Sample:
    apart = [value - center for value in values]
    return sample(len(apart), center, sum(apart), sum(each * each for each in apart))


def stops(
    draws: tuple[Draw, Draw], runs: int, count: int, *, binary: bool
) -> list[tuple[int, str]]:
    """When the experiments that said something stopped, and what they said; looked at 100 times each."""
    rng = np.random.default_rng(20_261_121)
    found = []
    places = np.linspace(count // LOOKS, count, LOOKS).astype(int)
    for _ in range(runs):
        values = [draw(rng, count) for draw in draws]
        sums = [(one.cumsum(), (one * one).cumsum()) for one in values]
        for place in places:
            a, b = (sample(int(place), 0.0, t[place - 1], s[place - 1]) for t, s in sums)
            said = verdict(difference(a, b, binary=binary), higher=True)
            if said != "continue":
                found.append((int(place), said))
                break
    return found


@pytest.mark.parametrize(
    ("draw", "binary"),
    [(coins(0.5), True), (coins(0.03), True), (waits(1.0), False)],
    ids=["half", "rare", "skewed"],
)
def test_equal_arms_looked_at_a_hundred_times_are_rarely_found_to_differ(draw, binary):
    alarms = stops((draw, draw), 400, 5_000, binary=binary)
    assert len(alarms) < 0.05 * 400


def test_a_fixed_interval_would_find_a_difference_in_every_fourth():
    # So that the test above cannot pass because nothing is ever found.
    rng = np.random.default_rng(1)
    places = np.linspace(50, 5_000, LOOKS).astype(int)
    alarms = 0
    for _ in range(200):
        a, b = (np.cumsum(rng.random(5_000) < 0.5) for _ in range(2))
        gaps = np.abs(a[places - 1] - b[places - 1]) / places
        alarms += bool((gaps > 1.96 * np.sqrt(0.5 / places)).any())
    assert alarms > 0.25 * 200


def test_sixty_against_fifty_per_cent_is_found():
    found = stops((coins(0.6), coins(0.5)), 200, 3_000, binary=True)
    assert len(found) > 0.98 * 200
    assert sum(said == "a_better" for _, said in found) > 0.98 * len(found)
    assert 200 < sorted(place for place, _ in found)[len(found) // 2] < 700


def test_too_few_values_say_nothing():
    few, many = Sample(confidence.COUNT_MIN - 1, 1.0, 0.0), Sample(1000, 0.0, 0.0)
    assert difference(few, many, binary=False) is None
    assert mean(few, binary=False) is None
    assert verdict(None, higher=True, margin=9.0) == "continue"
    assert sample(0, 3.0, 0.0, 0.0) == Sample(0)
    assert Sample(1, 2.0).variance == 0.0


def test_thirty_successes_of_thirty_are_not_certainty():
    every = sample_of([1.0] * 30)
    found = difference(every, sample_of([1.0] * 30), binary=True)
    assert found is not None
    assert found.low < -0.1 < 0.1 < found.high
    alone = mean(every, binary=True)
    assert alone is not None
    assert alone.low < 0.9


def test_values_that_never_vary_still_differ_in_the_end():
    found = difference(sample_of([1.0] * 200), sample_of([2.0] * 200), binary=False)
    assert verdict(found, higher=True) == "b_better"
    assert verdict(found, higher=False) == "a_better"


def test_equal_costs_with_other_last_digits_are_equal():
    a, b = Sample(4_000, 0.00025, 0.0), Sample(4_000, 0.00025 * (1 + 1e-15), 0.0)
    found = difference(a, b, binary=False)
    assert verdict(found, higher=False) == "continue"
    assert verdict(found, higher=False, margin=1e-6) == "equivalent"


@pytest.mark.parametrize(
    ("low", "high", "margin", "said"),
    [
        (0.1, 0.3, 0.0, "a_better"),
        (-0.3, -0.1, 0.0, "b_better"),
        (-0.1, 0.3, 0.0, "continue"),
        (-0.1, 0.1, 0.2, "equivalent"),
        (0.01, 0.1, 0.2, "equivalent"),  # surely better, and surely not by as much as matters
        (0.1, 0.3, 0.2, "a_better"),
        (-0.1, 0.1, 0.0, "continue"),
    ],
)
def test_the_verdict(low, high, margin, said):
    found = Interval((low + high) / 2, low, high)
    assert verdict(found, higher=True, margin=margin) == said


def test_a_center_far_from_zero_loses_no_digits():
    values = [1e9 + each for each in (0.0, 1.0, 2.0, 3.0)]
    assert sample_of(values, center=1e9 + 1).variance == pytest.approx(5 / 3)


def test_the_interval_of_a_mean_holds_it():
    rng = np.random.default_rng(5)
    missed = 0
    for _ in range(100):
        found = mean(sample_of(rng.normal(3.0, 2.0, 400)), binary=False)
        assert found is not None
        missed += not found.low <= 3.0 <= found.high
    assert missed <= 2
