from __future__ import annotations

from gatemill.settings.errors import Origin
from gatemill.settings.layers import Layer

LOW, HIGH = Origin("low"), Origin("high")


def layer(origin: Origin, **values: object) -> Layer:
    made = Layer()
    for path, value in values.items():
        assert made.put(tuple(path.split("__")), value, origin)
    return made


def test_what_is_above_wins_and_tables_merge() -> None:
    below = layer(LOW, a__b=1, a__c=2, d=[1, 2])
    below.merge(layer(HIGH, a__b=3, d=[9], e__f=4))
    assert below.tree == {"a": {"b": 3, "c": 2}, "d": [9], "e": {"f": 4}}
    assert below.origin(("a", "b")) == HIGH
    assert below.origin(("a", "c")) == LOW
    assert below.origin(("d", 0)) == HIGH


def test_a_table_that_is_replaced_takes_its_origins_along() -> None:
    below = layer(LOW, a__b=1)
    below.merge(layer(HIGH, a=5))
    assert below.tree == {"a": 5}
    assert below.origins == {("a",): HIGH}


def test_completing_adds_only_what_is_missing() -> None:
    own = layer(HIGH, a__b=1)
    own.complete(layer(LOW, a__b=2, a__c=3, d=4))
    assert own.tree == {"a": {"b": 1, "c": 3}, "d": 4}
    assert own.origin(("a", "b")) == HIGH
    assert own.origin(("d",)) == LOW


def test_layers_share_nothing_after_merging() -> None:
    above = layer(HIGH, a__b__c=1)
    below = Layer()
    below.merge(above)
    below.put(("a", "b", "c"), 2, LOW)
    assert above.tree == {"a": {"b": {"c": 1}}}


def test_a_value_in_the_way_is_not_overwritten() -> None:
    own = layer(LOW, a=1, b__c=2)
    assert not own.put(("a", "x"), 1, HIGH)
    assert not own.put(("b",), 1, HIGH)
    assert own.tree == {"a": 1, "b": {"c": 2}}


def test_a_value_is_said_when_it_or_its_short_form_was_given() -> None:
    own = layer(LOW, targets=["p/m", {"model": "x"}], timeout=5)
    assert own.says(("targets", 0, "provider"))
    assert own.says(("targets", 1, "model"))
    assert not own.says(("targets", 1, "weight"))
    assert own.says(("timeout", "total_s"))
    assert not own.says(("nothing",))
    assert own.origin(("nothing",)) is None
