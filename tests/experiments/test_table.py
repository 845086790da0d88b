"""What is served of experiments: who decides, and what one arm answers alone."""

from __future__ import annotations

from collections import Counter

from experiments.made import DARK, ONE, TWO, experiment
from gatemill.experiments.table import Table, assigned, splits
from gatemill.policy.experiment import arm


def served(*found):
    table = Table()
    table.replace(found)
    return table.splits


def test_a_running_experiment_splits_and_has_outcomes():
    (split,) = served(experiment(ONE, TWO, DARK))
    assert split.name == "m"
    assert [each.name for each in split.experiment.arms] == ["one", "two"]
    assert split.experiment.id == "exp_1"
    assert split.shadow is not None
    assert (split.shadow.name, split.share) == ("dark", 1.0)


def test_a_paused_one_lets_the_control_answer_and_counts_nothing():
    (split,) = served(experiment(DARK, TWO, ONE, state="paused"))
    assert [each.name for each in split.experiment.arms] == ["two"]
    assert split.experiment.id == ""
    assert split.shadow is None


def test_a_concluded_one_lets_the_winner_answer_else_the_control():
    for winner, expected in (("two", "two"), ("dark", "dark"), ("", "one"), ("gone", "one")):
        one = experiment(ONE, TWO, DARK, state="concluded", winner=winner)
        assert assigned(one, "anybody") == expected
        (split,) = served(one)
        assert arm(split.experiment, "anybody").name == expected


def test_the_one_that_decides_now_goes_before_those_that_have_ended():
    old = experiment(number=1, state="concluded", winner="two", ended_at=5.0)
    older = experiment(number=2, state="concluded", winner="one", ended_at=3.0)
    now = experiment(number=3, state="running")
    for order in ((old, older, now), (now, older, old), (older, now, old)):
        (split,) = splits(order)
        assert split.experiment.id == "exp_3"
    (split,) = splits((old, older))
    assert split.experiment.arms[0].name == "two"
    other = experiment(number=4, model="")
    assert [each.name for each in splits((now, other))] == ["m", "e4"]


def test_an_arm_without_a_model_is_the_model_itself():
    (split,) = served(experiment(ONE.__class__("same"), TWO))
    assert [each.model for each in split.experiment.arms] == ["m", "b"]


def test_the_assignment_is_what_the_gateway_does():
    one = experiment(ONE, TWO, DARK)
    (split,) = served(one)
    units = [f"u{n}" for n in range(200)]
    assert [assigned(one, unit) for unit in units] == [
        arm(split.experiment, unit).name for unit in units
    ]
    assert Counter(assigned(one, unit) for unit in units)["dark"] == 0
