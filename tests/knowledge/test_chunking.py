"""Every passage is what the document says there, none is too long, and nothing is left out."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.core.errors import InvalidValue
from gatemill.knowledge import chunking
from gatemill.knowledge.chunking import Strategy, TooManyError, chunks

WORDS = st.sampled_from(
    [
        "mill",
        "wheat.",
        "Ω",
        "漢字。",
        "über!",
        "\n",
        "\n\n",
        "# Head\n",
        " ",
        "\t",
        "x" * 90,
        "e.g.",
        "—",
        "🌾",
    ]
)
TEXTS = st.lists(WORDS, max_size=80).map(" ".join) | st.text(max_size=300)
STRATEGIES = st.integers(16, 60).flatmap(
    lambda tokens: st.builds(Strategy, st.just(tokens), st.integers(0, tokens // 2))
)


def bytes_of(text, span):
    return len(text[span.start : span.end].encode("utf-8", "replace"))


@given(TEXTS, STRATEGIES)
def test_passages_cover_the_text_in_order_and_none_is_too_long(text, strategy):
    found = chunks(text, strategy, 10_000)
    at = 0
    for one in found:
        passage = text[one.start : one.end]
        assert passage == passage.strip() != ""
        assert bytes_of(text, one) <= strategy.bytes
        assert not text[at : one.start].strip()  # nothing was left out before it
        at = max(at, one.end)
    assert not text[at:].strip()
    assert [one.start for one in found] == sorted({one.start for one in found})
    assert [one.end for one in found] == sorted({one.end for one in found})


@given(TEXTS, STRATEGIES)
def test_two_passages_share_no_more_than_was_asked_for(text, strategy):
    found = chunks(text, strategy, 10_000)
    for one, other in pairwise(found):
        shared = text[other.start : one.end].encode("utf-8", "replace")
        assert len(shared) <= strategy.overlap * 4


def test_passages_end_where_the_text_does():
    sentence = "The mill grinds wheat all day. "
    text = f"# One\n\n{sentence * 8}\n\n{sentence * 8}\n\n# Two\n\n{sentence * 3}"
    found = [text[one.start : one.end] for one in chunks(text, Strategy(100, 0), 100)]
    assert [one[:5] for one in found] == ["# One", "The m", "# Two"]
    assert all(one.endswith(".") for one in found)


def test_overlap_is_whole_sentences_but_never_over_a_heading():
    sentences = [f"Sentence number {number:02d} is here." for number in range(30)]
    found = chunks(" ".join(sentences), Strategy(50, 10), 100)
    text = " ".join(sentences)
    assert all(text[one.start : one.end].startswith("Sentence") for one in found)
    assert all(other.start < one.end for one, other in pairwise(found))
    headed = "# A\n" + "x. " * 60 + "\n# B\n" + "y. " * 60
    last = chunks(headed, Strategy(100, 50), 100)[-1]
    assert headed[last.start] == "#"


def test_a_text_of_white_space_has_no_passages_and_one_of_too_many_is_refused():
    assert chunks(" \n\t\n", Strategy(16, 0), 1) == []
    text = "word " * 100
    assert len(chunks(text, Strategy(16, 0), 8)) == 8
    with pytest.raises(TooManyError):
        chunks(text, Strategy(16, 0), 7)


def test_the_embedder_bounds_what_is_chosen_for_it():
    assert chunking.automatic(None) == Strategy(512, 76)
    assert chunking.automatic(8192) == Strategy(512, 76)
    assert chunking.automatic(256) == Strategy(256, 38)
    assert chunking.automatic(1) == Strategy(16, 2)


@pytest.mark.parametrize(
    ("tokens", "overlap", "field"),
    [
        (99, 0, "max_chunk_size_tokens"),
        (4097, 0, "max_chunk_size_tokens"),
        (100, 51, "chunk_overlap_tokens"),
        (100, -1, "chunk_overlap_tokens"),
    ],
)
def test_sizes_out_of_bounds_are_refused_by_name(tokens, overlap, field):
    with pytest.raises(InvalidValue) as refusal:
        chunking.static(tokens, overlap)
    assert refusal.value.param == f"chunking_strategy.static.{field}"
    assert chunking.static(4096, 2048) == Strategy(4096, 2048)


def test_odd_white_space_takes_no_time():
    """Looking for a heading behind every line took hours for this, and ends by the time limit of tests."""
    text = "\n\x0c" * 250_000 + "words"
    (found,) = chunks(text, Strategy(512, 0), 2)
    assert text[found.start : found.end] == "words"
