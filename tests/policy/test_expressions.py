"""What is known of an expression before it is used."""

from __future__ import annotations

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from gatemill.policy.expressions import (
    ANY,
    Late,
    alphabet_of,
    expression,
    letters,
    reason_against,
    several,
)


@pytest.mark.parametrize(
    ("source", "alphabet"),
    [
        (r"EMP-[0-9]{6}", b"-0123456789EMPemp"),
        (r"\bA\d+\.\t", b"\t.0123456789Aa"),
        (r"(?:ab|c)?d*", b":ABCDabcd"),
        (r"[\-x]{2,}", b"-Xx"),
        ("ü", "üÜ".encode()),
    ],
)
def test_the_bytes_of_its_finds_are_known(source, alphabet):
    assert set(alphabet) <= set(alphabet_of(source))
    assert alphabet_of(source) == bytes(sorted({*alphabet}))


@pytest.mark.parametrize("source", [".", "[^a]", r"\pL", r"[\w]", "[ä-ü]", r"\D", "[[:^alpha:]]"])
def test_where_they_are_not_known_any_byte_it_is(source):
    assert alphabet_of(source) == ANY


@given(
    st.lists(
        st.sampled_from([r"\d", "[a-f]", "x", r"\.", "(?:ab|C)", "y?", "Z+", r"[^\W]", "é", "{"]),
        min_size=1,
        max_size=6,
    ).map("".join),
    st.text("0123abcdefxyYZzC.é{-", max_size=40),
)
def test_nothing_is_found_that_holds_another_byte(source, text):
    if reason_against(source):
        return
    alphabet = alphabet_of(source)
    encoded = text.encode()
    for start, end in expression(source).finditer(encoded):
        assert alphabet == ANY or set(encoded[start:end]) <= set(alphabet)


@pytest.mark.parametrize(
    "source", ["(a", "x*", r"\b", r"\C", "(?P<a>b)", "(?=a)", "a{9999}", r"\Qa"]
)
def test_what_cannot_be_looked_for_has_a_reason(source, capfd):
    assert reason_against(source)
    assert capfd.readouterr() == ("", "")  # RE2 would say it on the terminal


def test_what_can_has_none():
    assert reason_against(r"EMP-[0-9]{6}") == ""


def test_a_late_one_is_compiled_once():
    late = Late("[0-9]+")
    assert late.search(b"a 12 3", 3) == (3, 4)
    first = late._ready()
    assert [*late.finditer(b"1 22")] == [(0, 1), (2, 4)]
    assert late._ready() is first


def test_several_are_told_apart_in_one_pass():
    assert sorted(several(["a", "b", "c"]).Match(b"xcxa")) == [0, 2]


def test_a_search_ends_where_it_is_told_and_begins_there():
    found = expression("b+")
    assert found.search(b"abbb") == (1, 4)
    assert found.search(b"abbb", 2, 3) == (2, 3)
    assert found.search(b"abbb", 4) is None
    assert found.search(b"abbb", 5) is None
    assert found.search(b"abbb", 3, 9) == (3, 4)
    assert [*expression("x?").finditer(b"ax")] == [(0, 0), (1, 2), (2, 2)]


def test_what_does_not_compile_is_an_error_of_re2():
    with pytest.raises(re2.error):
        expression("(")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", b"  "),
        (b"Red, 2 Mills_x", b" red    mills x "),
        (rb"a\nB\"c", rb" a\nb\ c "),
        ("„ÜBER“ 7".encode(), " „über“   ".encode()),
        (b"\xffA", " \ufffda ".encode()),
    ],
)
def test_letters_are_small_and_alone_but_for_backslashes_and_what_is_not_ascii(text, said):
    assert letters(text) == said
