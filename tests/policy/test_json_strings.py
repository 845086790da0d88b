"""One string of a JSON text, found by a place inside it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.policy.json_strings import around, unescaped

MARK = "4111 1111 1111 1111"
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(_TEXT, _TEXT, _TEXT, st.booleans())
def test_the_string_around_a_place_is_the_text_or_nobody_is_sure(before, after, other, plain):
    text = f"{before}{MARK}{after}"
    body = json.dumps({other: [other, text, other]}, ensure_ascii=plain).encode()
    at = body.find(MARK.encode())
    start, end = around(body, at, at + len(MARK))
    found = unescaped(body[start:end])
    assert found is None or found == text.encode()
    if "\\" not in text:
        assert found is not None


@pytest.mark.parametrize("text", [b'a"b', rb"\\u0040", rb"\q", b"\\"])
def test_what_is_no_string_or_has_more_escapes_inside_is_not_told(text):
    assert unescaped(text) is None


def test_what_stands_outside_all_strings_has_its_neighbours():
    body = b'{"created":1790000000}'
    assert body[slice(*around(body, 11, 21))] == b":1790000000}"
    assert around(b"12", 0, 2) == (0, 2)
