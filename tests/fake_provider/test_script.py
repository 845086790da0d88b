"""The grammar of model names."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.core.errors import InvalidValue
from gatemill.fake_provider.faults import CATALOGUE
from gatemill.fake_provider.script import NAME_CHARS_MAX, parse


def test_name_without_faults_is_its_base() -> None:
    script = parse("fake")
    assert (script.base, dict(script.faults(1))) == ("fake", {})


def test_values_are_numbers_and_bare_faults_are_one() -> None:
    assert dict(parse("fake+first-byte=1.5+hang").always) == {"first-byte": 1.5, "hang": 1.0}


def test_value_that_is_left_out_takes_its_default() -> None:
    assert dict(parse("fake+auth+tools").always) == {"auth": 401, "tools": 1}


def test_base_may_hold_slashes_colons_and_equal_signs() -> None:
    assert parse("vendor/eu:model=7+hang").base == "vendor/eu:model=7"


def test_first_applies_to_the_faults_after_it() -> None:
    script = parse("fake+words=5+first=2+status=503")
    met = [dict(script.faults(number)) for number in (1, 2, 3)]
    failing = {"words": 5, "status": 503}
    assert met == [failing, failing, {"words": 5}]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("fake+stauts=503", "status"),
        ("fake+hangs", "hang"),
        ("fake+err-event=1", "error-event"),
        ("fake+splitutf8", "split-utf8"),
    ],
)
def test_unknown_fault_is_refused_with_the_nearest_name(name: str, near: str) -> None:
    with pytest.raises(InvalidValue, match=f"Did you mean `{near}`") as caught:
        parse(name)
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("fake+zzzzqqq", "guide lists them"),
        ("fake+", "No fault is named ``"),
        ("+hang", "before the first"),
        ("fake+hang=2", "takes no value"),
        ("fake+status", "needs a value"),
        ("fake+status=abc", "whole number from 300 to 599"),
        ("fake+status=200", "whole number from 300 to 599"),
        ("fake+status=503.5", "whole number"),
        ("fake+first-byte=nan", "number from 0 to 3600"),
        ("fake+first-byte=inf", "number from 0 to 3600"),
        ("fake+first-byte=-1", "number from 0 to 3600"),
        ("fake+words=" + "9" * 400, "whole number"),
        ("fake+hang+hang", "stands twice"),
        ("fake+cut+first=1+cut", "stands twice"),
        ("fake+first=1+first=2+cut", "stands twice"),
        ("fake+first=2", "Write a fault after"),
        ("fake+status=503+first=2", "Write a fault after"),
        ("x" * (NAME_CHARS_MAX + 1), "below 512 characters"),
    ],
)
def test_wrong_name_is_refused_with_a_remedy(name: str, says: str) -> None:
    with pytest.raises(InvalidValue, match=says):
        parse(name)


@pytest.mark.parametrize("fault", CATALOGUE.values(), ids=lambda fault: fault.name)
def test_every_example_parses_to_its_fault(fault) -> None:
    script = parse(fault.example)
    assert script.first == 1 if fault.name == "first" else fault.name in script.always


@given(st.text(alphabet="fake+=-.0123456789hangstu/first", max_size=40))
def test_any_name_is_understood_or_refused(name: str) -> None:
    with suppress(InvalidValue):
        script = parse(name)
        assert name.startswith(script.base)
        assert script.at_first.keys() <= CATALOGUE.keys()
        assert script.always.items() <= script.at_first.items()
