"""Attribute filters in OpenAI's words."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gatemill.core.errors import InvalidValue
from gatemill.ledger.knowledge.filters import DEPTH_MAX, PARTS_MAX, read
from gatemill.ledger.knowledge.words import WORDS_MAX, words

MILL = {"kind": "mill", "year": 1850, "open": True}


def compare(kind, key, value):
    return {"type": kind, "key": key, "value": value}


def both(kind, *filters):
    return {"type": kind, "filters": [*filters]}


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        (compare("eq", "kind", "mill"), True),
        (compare("eq", "kind", "barn"), False),
        (compare("eq", "year", 1850.0), True),
        (compare("eq", "year", Decimal("1850.0")), True),
        (compare("eq", "year", "1850"), False),
        (compare("eq", "open", 1), False),
        (compare("eq", "open", True), True),
        (compare("eq", "none", "x"), False),
        (compare("ne", "kind", "barn"), True),
        (compare("ne", "none", "x"), True),
        (compare("gt", "year", 1849), True),
        (compare("gt", "year", 1850), False),
        (compare("gte", "year", 1850), True),
        (compare("lt", "year", 1850), False),
        (compare("lte", "year", 1850), True),
        (compare("lt", "kind", "zoo"), True),
        (compare("lt", "kind", 5), False),
        (compare("gt", "none", 0), False),
        (compare("in", "kind", ["barn", "mill"]), True),
        (compare("in", "kind", []), False),
        (compare("nin", "kind", ["barn"]), True),
        (compare("nin", "none", ["barn"]), True),
        (both("and", compare("eq", "kind", "mill"), compare("gt", "year", 1900)), False),
        (both("or", compare("eq", "kind", "mill"), compare("gt", "year", 1900)), True),
        (both("and", both("or", compare("eq", "kind", "mill"))), True),
    ],
)
def test_a_filter_holds_or_not(said, holds):
    assert read(said).holds(MILL) is holds


def nested(depth):
    found = compare("eq", "a", "b")
    for _ in range(depth - 1):
        found = both("and", found)
    return found


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("year = 5", "filters"),
        ({"type": "like", "key": "a", "value": "b"}, "filters.type"),
        ({"key": "a", "value": "b"}, "filters.type"),
        (compare("eq", "", "b"), "filters.key"),
        (compare("eq", "a" * 65, "b"), "filters.key"),
        (compare("eq", "a", None), "filters.value"),
        (compare("eq", "a", ["b"]), "filters.value"),
        (compare("eq", "a", "b" * 513), "filters.value"),
        (compare("gt", "a", True), "filters.value"),
        (compare("in", "a", "b"), "filters.value"),
        (compare("in", "a", [None]), "filters.value"),
        (compare("in", "a", ["b"] * 1001), "filters.value"),
        (both("and"), "filters.filters"),
        ({"type": "or", "filters": "a"}, "filters.filters"),
        (both("or", compare("eq", "a", "b"), 5), "filters.filters.1"),
        (both("and", *[compare("eq", "a", "b")] * (PARTS_MAX + 1)), f"filters.filters.{PARTS_MAX}"),
        ({**compare("eq", "a", "b"), "sql": "1=1"}, "filters"),
        ({**both("and", compare("eq", "a", "b")), "key": "a"}, "filters"),
        (nested(DEPTH_MAX + 1), "filters" + ".filters.0" * DEPTH_MAX),
    ],
)
def test_what_is_no_filter_is_refused_by_its_place(said, place):
    with pytest.raises(InvalidValue) as refusal:
        read(said)
    assert refusal.value.param == place


def test_no_filter_is_none_and_a_deep_one_may_be():
    assert read(None) is None
    assert read(nested(DEPTH_MAX)).holds({"a": "b"})


def test_words_are_told_apart_and_bounded():
    assert words('Where is the "Mill"? mill') == ["mill"]
    assert words("to be or not to be") == ["to", "be", "or", "not"]
    assert words("__ -- !?") == []
    assert len(words(" ".join(f"w{number}" for number in range(100)))) == WORDS_MAX
    assert words("x" * 100) == ["x" * 64]


def test_a_value_is_looked_for_in_a_long_list_at_once():
    class Counted(str):
        __slots__ = ()
        compared = 0

        def __eq__(self, other):
            type(self).compared += 1
            return str(self) == other

        __hash__ = str.__hash__

    values = [Counted(f"v{number}") for number in range(500)]
    wanted = read(compare("in", "a", values))
    Counted.compared = 0
    assert wanted.holds({"a": "v499"})
    assert not wanted.holds({"a": "w"})
    assert not wanted.holds({})
    assert Counted.compared < 5
