"""Guards as people write them."""

from __future__ import annotations

import pytest

from gatemill.core.errors import GatemillError
from gatemill.core.guard import NOTHING, Use, Uses
from gatemill.wire import guard_uses

FULL = Uses(
    input=(
        Use("pii", "mask", kinds=("email",), threshold=0.5),
        Use("http", "block", hook="team"),
        Use("size", "block", chars_max=9),
    ),
    output=(Use("pii", "log"),),
)


def test_what_is_shown_is_read_again():
    assert guard_uses.read(guard_uses.shown(FULL)) == FULL
    assert guard_uses.read(None) is NOTHING
    assert guard_uses.shown(NOTHING) == {}


def test_the_words_are_those_of_the_command_line():
    said = "input:pii=mask input:http:team=block input:size=9 output:pii=log"
    assert guard_uses.words(FULL) == said
    read = guard_uses.options(said.split(), "--guard")
    assert guard_uses.words(read) == said
    assert guard_uses.options(["input:pii"], "--guard").input == (Use("pii", "block"),)
    assert guard_uses.options(["none"], "--guard") == NOTHING


@pytest.mark.parametrize("text", ["pii=mask", "input:", "input:pii=", "side:pii=mask", "input"])
def test_an_option_that_says_nothing_is_refused(text):
    with pytest.raises(GatemillError, match="write input:pii=mask"):
        guard_uses.options([text], "--guard")


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ([], "guards"),
        ({"in": []}, "guards.in"),
        ({"input": {}}, "guards.input"),
        ({"input": [{}] * 33}, "guards.input"),
        ({"input": [3]}, "guards.input.0"),
        ({"input": [{}]}, "guards.input.0.guard"),
        ({"input": [{"guard": 3}]}, "guards.input.0.guard"),
        ({"input": [{"guard": "a", "kinds": "b"}]}, "guards.input.0.kinds"),
        ({"input": [{"guard": "a", "kinds": ["b"] * 101}]}, "guards.input.0.kinds"),
        ({"input": [{"guard": "a", "kinds": [1]}]}, "guards.input.0.kinds.0"),
        ({"input": [{"guard": "a", "threshold": "1"}]}, "guards.input.0.threshold"),
        ({"input": [{"guard": "a", "threshold": 1.1}]}, "guards.input.0.threshold"),
        ({"input": [{"guard": "a", "chars_max": 1.5}]}, "guards.input.0.chars_max"),
        ({"input": [{"guard": "a", "chars_max": 0}]}, "guards.input.0.chars_max"),
        ({"input": [{"guard": "a", "kinds": ["k", "k" * 101]}]}, "guards.input.0.kinds.1"),
    ],
)
def test_a_mistake_is_named_by_its_place(said, param):
    with pytest.raises(GatemillError) as caught:
        guard_uses.read(said)
    assert caught.value.param == param
