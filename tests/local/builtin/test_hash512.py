"""builtin/hash-512: unit vectors that near texts share."""

from __future__ import annotations

import math
import struct

import msgspec
import pytest

from gatemill.core.errors import InvalidType, InvalidValue
from gatemill.local.builtin import hash512


def vector(text):
    return struct.unpack("<512f", hash512.vector(text))


def near(left, right):
    return sum(a * b for a, b in zip(vector(left), vector(right), strict=True))


@pytest.mark.parametrize("text", ["the mill", "!!!", " ", "日本", "a" * 1000, "\ud800"])
def test_every_text_has_a_vector_of_length_one(text):
    assert math.hypot(*vector(text)) == pytest.approx(1.0, abs=1e-5)


def test_texts_that_share_words_are_near():
    assert near("the mill turns", "the mill turned") > near("the mill turns", "an owl sleeps") + 0.3
    assert near("the mill", "the mill") == pytest.approx(1.0, abs=1e-5)


def test_the_same_text_has_the_same_vector_on_every_machine():
    assert [at for at, value in enumerate(vector("mill")) if value] == FOUND


FOUND = [158, 375, 420, 506]  # crc32 does not change


def ask(**fields):
    return hash512.answer(msgspec.json.encode({"model": "hash-512", **fields}), 0.0)


@pytest.mark.parametrize(
    ("fields", "error", "param"),
    [
        ({"input": [1, 2]}, InvalidType, "input"),
        ({"input": [[1]]}, InvalidType, "input"),
        ({"input": "a", "dimensions": 511}, InvalidValue, "dimensions"),
        ({"input": ["a", "b" * 100_001]}, InvalidValue, "input.1"),
        ({"input": ["b" * 100_000] * 21}, InvalidValue, "input"),
    ],
)
def test_what_it_cannot_embed_is_refused(fields, error, param):
    with pytest.raises(error) as refused:
        ask(**fields)
    assert refused.value.param == param


def test_usage_is_counted_by_size():
    assert ask(input=["abcd", "abcde"])["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
