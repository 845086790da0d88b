"""Words, stems and sentences."""

from __future__ import annotations

import pytest

from gatemill.local.builtin import words


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("mills", "mill"),
        ("stopped", "stop"),
        ("making", "make"),
        ("batteries", "battery"),
        ("classes", "class"),
        ("prices", "price"),
        ("owner's", "owner"),
    ],
)
def test_words_of_one_kind_meet(left, right):
    assert words.stem(left) == words.stem(right)


@pytest.mark.parametrize("word", ["bus", "this", "glass", "go", "is"])
def test_short_words_and_false_plurals_stay(word):
    assert words.stem(word) == word


def test_what_says_nothing_is_left_out_unless_nothing_else_is_there():
    assert words.terms("Where is the mill?") == ["mill"]
    assert words.terms("To be or not to be") == ["to", "be", "or", "not", "to", "be"]
    assert words.terms("") == []


def test_sentences_end_where_they_do():
    text = "Mr. Smith came at 10.30 a.m. on foot. He left!\n\n# A heading\n- one\n- two\n“Why?” Nobody knew"
    assert words.sentences(text) == [
        "Mr. Smith came at 10.30 a.m. on foot.",
        "He left!",
        "# A heading",
        "- one",
        "- two “Why?”",
        "Nobody knew",
    ]
    assert words.sentences(" \n ") == []
