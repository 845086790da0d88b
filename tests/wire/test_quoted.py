"""JSON inside a text, opened and closed again."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.wire.quoted import QUOTE, SLASH, Closing, Opening, inside, outside

CHARS = st.characters(exclude_categories=["Cs"], exclude_characters=QUOTE + SLASH)
VALUES = st.recursive(
    st.text(CHARS) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(CHARS, max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def through(*parts: str) -> str:
    opening, closing = Opening(), Closing()
    opened = [closing.feed(opening.feed(part)) for part in parts]
    return "".join(opened) + closing.feed(opening.finish())


@given(VALUES, st.booleans(), st.lists(st.integers(0, 60), max_size=3))
def test_it_means_the_same_and_is_the_same_however_it_was_cut(value, plain, cuts):
    text = json.dumps(value, ensure_ascii=plain)
    places = [0, *sorted(cuts), len(text)]
    parts = [text[a:b] for a, b in pairwise(places)]
    assert through(*parts) == through(text)
    assert json.loads(through(text)) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "opened"),
    [
        (r'"a\u0040b"', '"a@b"'),
        (r'"\ud83d\ude00"', '"😀"'),
        (r'"\ud83d"', '"\ufffd"'),
        (r'"\ud83d\n"', '"\ufffd\n"'),
        (r'"\ude00"', '"\ufffd"'),
        (r'"\u0022\u005c"', f'"{QUOTE}{SLASH}"'),
        (r'"\q"', f'"{SLASH}q"'),
        (r'"\uzzzz"', f'"{SLASH}uzzzz"'),
        (f'"{QUOTE}"', '"\ufffd"'),
        ('"\\', f'"{SLASH}'),
        ('"\\u00', f'"{SLASH}u00'),
    ],
)
def test_what_an_escape_stands_for_is_what_a_guard_reads(text, opened):
    for cut in range(len(text) + 1):
        opening = Opening()
        assert opening.feed(text[:cut]) + opening.feed(text[cut:]) + opening.finish() == opened


def test_a_line_break_is_escaped_inside_a_string_and_nowhere_else():
    assert Closing().feed('{\n"a":"b\nc\x01"\n}') == '{\n"a":"b\\nc\\u0001"\n}'


def test_a_text_goes_in_and_comes_out():
    assert outside(inside('a "b" \\')) == 'a "b" \\'
    opened = '"' + inside('a "b" \\') + '"'
    assert json.loads(Closing().feed(opened)) == 'a "b" \\'
