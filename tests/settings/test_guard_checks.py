"""Guards that cannot stand are named when the configuration is read."""

from __future__ import annotations

import pytest

from gatemill.settings.guard_checks import guard_problems


def problems(**guards):
    model = guards.pop("model", None)
    tree = {"guards": guards, "models": {} if model is None else {"m": {"guards": model}}}
    return [(".".join(map(str, path)), text) for path, text in guard_problems(tree)]


def test_guards_that_can_stand_are_no_problem():
    assert (
        problems(
            input=[{"guard": "pii", "kinds": ["card", "order"]}, {"guard": "http", "hook": "team"}],
            output=[{"guard": "size", "chars_max": 9}, {"guard": "pii", "mode": "off"}],
            patterns={"order": "ord-[0-9]{6}"},
            hooks={"team": {"url": "https://a.example"}},
            model={"input": [{"guard": "secrets", "mode": "restore"}]},
        )
        == []
    )
    assert list(guard_problems({})) == []


@pytest.mark.parametrize(
    ("use", "place"),
    [
        ({"guard": "pii", "kinds": ["mail"]}, "guards.output.0.kinds"),
        ({"guard": "pii", "mode": "restore"}, "guards.output.0.mode"),
        ({"guard": "size"}, "guards.output.0.chars_max"),
        ({"guard": "http"}, "guards.output.0.hook"),
        ({"guard": "http", "hook": "gone"}, "guards.output.0.hook"),
        ({"guard": "moderation", "kinds": ["violenc"]}, "guards.output.0.kinds"),
    ],
)
def test_one_that_cannot_stand_is_named(use, place):
    (found,) = problems(output=[use])
    assert found[0] == place
    assert "`" not in found[1]
    (found,) = problems(model={"output": [use]})
    assert found[0] == f"models.m.{place}"


def test_a_guard_that_stands_twice_is_named():
    (found,) = problems(input=[{"guard": "pii"}, {"guard": "pii", "mode": "mask"}])
    assert found == ("guards.input.1.guard", "pii stands here twice; keep one of them")


@pytest.mark.parametrize("text", ["(", "x*"])
def test_a_pattern_that_cannot_be_used_is_named(text):
    (found,) = problems(patterns={"order": text, "good": "ab+c"})
    assert found[0] == "guards.patterns.order"


def test_wrong_types_are_left_to_those_who_check_them():
    assert problems(input=3, output=[3, {"guard": 3}], patterns={"a": 3}) == []
    assert problems(input=[{"guard": "pi"}, {"guard": "pii", "mode": "hide"}]) == []
    assert problems(hooks={"a": {"secret": 3}, "b": 3, "c": {"secret": "${GONE}"}}) == []


def test_a_secret_that_signs_nothing_is_named_and_not_shown():
    (found,) = problems(hooks={"team": {"url": "https://a.example", "secret": "hush"}})
    assert found[0] == "guards.hooks.team.secret"
    assert "whsec_" in found[1]
    assert "hush" not in found[1]
