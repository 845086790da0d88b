"""What every JSON body must be before anybody looks at its meaning."""

from __future__ import annotations

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import heavy
from gatemill.core.errors import InvalidJson, InvalidValue, JsonTooDeep, RequestTooLarge
from gatemill.wire.body import CONTAINERS_MAX, check, check_depth

TEXT = st.text(alphabet='[]{}"\\/nu0a ,:')
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=40,
)


def depth(value: object) -> int:
    """Levels of arrays and objects."""
    inner = value.values() if isinstance(value, dict) else value
    if not isinstance(value, (dict, list)):
        return 0
    return 1 + max((depth(item) for item in inner), default=0)


def is_too_deep(body: bytes, depth_max: int) -> bool:
    try:
        check_depth(body, depth_max)
    except JsonTooDeep:
        return True
    return False


@given(VALUES, st.integers(0, 6))
def test_the_depth_is_that_of_the_decoded_value(value, depth_max):
    body = msgspec.json.encode(value)
    assert is_too_deep(body, depth_max) == (depth(value) > depth_max)


@pytest.mark.parametrize("text", ["[" * 100, '"[', "\\", '\\"[', "\\\\", '[["[[', '"', '\\\\"[[['])
def test_brackets_and_quotes_in_strings_do_not_count(text):
    body = msgspec.json.encode({text: [text, [text]], "b": text})
    assert not is_too_deep(body, 3)
    assert is_too_deep(body, 2)


@pytest.mark.parametrize("levels", [64, 65])
def test_the_limit_itself_is_fine(levels):
    assert is_too_deep(b"[" * levels + b"]" * levels, 64) == (levels > 64)


def test_more_containers_than_anybody_needs_are_refused():
    check_depth(b"[" + b"[]," * (CONTAINERS_MAX - 2) + b"[]]", 64)
    with pytest.raises(RequestTooLarge):
        check_depth(b"[" + b"[]," * CONTAINERS_MAX + b"[]]", 64)


def test_hostile_bodies_take_no_longer_than_reading_them():
    comb = b"[" + b",".join([b"[" * 60 + b"]" * 60] * 4_000) + b"]"
    escapes = b'["' + b'\\"' * 2_000_000 + b'"' + b",[]" * 70 + b"]"
    quotes = b"[" + b'"",' * 1_000_000 + b"[]" * 1 + b"]"
    began_s = time.thread_time()
    for body in (comb, escapes, quotes):
        check_depth(body, 64)
    assert time.thread_time() - began_s < 1


@pytest.mark.parametrize("body", [b"", b"\xff", b'"\xc3', b'{"a":"\xed\xa0\x80"}'])
def test_what_is_empty_or_not_utf_8_is_refused(body):
    with pytest.raises(InvalidJson):
        check(body)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (rb'{"a":"\u0000"}', "a"),
        (rb'{"a":[1,{"b":"x\u0000"}]}', "a.1.b"),
        (rb'{"a":"\\\u0000"}', "a"),
        (rb'{"a\u0000":1}', "body"),
        (rb'{"a":"\u0000"', "body"),
    ],
)
def test_a_null_character_is_refused_with_its_place(body, param):
    with pytest.raises(InvalidValue) as refused:
        check(body)
    assert refused.value.param == param


@pytest.mark.parametrize("opened", [b"[", b'{"a":'])
def test_a_null_character_at_any_depth_is_refused(opened):
    closed = b"]" if opened == b"[" else b"}"
    step = 1 if heavy.is_wanted() else 3  # where the decoder's own limit lies depends on the stack
    for levels in (*range(500, 1010, step), 5_000, 50_000):
        with pytest.raises(InvalidValue):
            check(opened * levels + rb'"\u0000"' + closed * levels)


@pytest.mark.parametrize(
    "body", [rb'{"a":"\\u0000"}', rb'{"a":"\\\\u0000"}', b"{}", "{é}".encode()]
)
def test_what_only_looks_like_a_null_character_passes(body):
    check(body)
