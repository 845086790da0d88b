from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.runner.text import Text


def decode(ids):
    """Token ids are bytes; a half character is shown as tokenizers show it."""
    return bytes(ids).decode(errors="replace")


def told(said: str, stops: tuple[str, ...] = (), cut: int = 1) -> tuple[list[str], bool]:
    """What leaves of a text that comes `cut` bytes at a time, and whether a stop string ended it."""
    text = Text(decode, stops)
    data = said.encode()
    pieces = [text.feed(data[at : at + cut]) for at in range(0, len(data), cut)]
    return [*pieces, text.finish()], text.stopped


def test_half_a_character_waits_for_its_rest():
    pieces, _ = told("a日b")
    assert pieces == ["a", "", "", "日", "b", ""]


def test_half_a_character_at_the_end_is_shown_as_what_it_is():
    text = Text(decode, ())
    assert text.feed("日".encode()[:2]) == ""
    assert text.finish() == "\ufffd"


@pytest.mark.parametrize("cut", [1, 2, 3, 50])
def test_nothing_of_a_stop_string_leaves(cut):
    pieces, stopped = told("one two END three", ("END",), cut)
    assert ("".join(pieces), stopped) == ("one two ", True)


def test_what_only_begins_like_a_stop_string_leaves_once_that_is_known():
    pieces, stopped = told("xENyEN", ("END",))
    assert pieces == ["x", "", "", "ENy", "", "", "EN"]
    assert not stopped


def test_nothing_follows_a_stop_string():
    text = Text(decode, ("b",))
    assert text.feed(b"ab") == "a"
    assert text.feed(b"c") == ""
    assert text.finish() == ""


def test_a_stop_string_in_the_last_characters_counts():
    text = Text(decode, ("\ufffd",))
    assert text.feed(b"a") == "a"
    assert text.feed("日".encode()[:2]) == ""
    assert text.finish() == ""
    assert text.stopped


def test_tokens_without_text_change_nothing():
    text = Text(lambda ids: "".join("x" for one in ids if one), ())
    assert [text.feed([0]), text.feed([1]), text.feed([0]), text.feed([1])] == ["", "x", "", "x"]


@given(
    st.text(st.sampled_from("abAé日😀"), max_size=40),
    st.lists(st.text(st.sampled_from("abé日"), min_size=1, max_size=4), max_size=3),
    st.integers(1, 9),
)
def test_however_it_is_cut_the_text_ends_before_the_first_stop_string(said, stops, cut):
    pieces, stopped = told(said, tuple(stops), cut)
    cuts = [at for stop in stops if (at := said.find(stop)) >= 0]
    assert stopped == bool(cuts)
    shown = "".join(pieces)
    if cuts:
        # Which of several is found first depends on where the text is cut, but none of it leaves.
        assert said.startswith(shown)
        assert any(said[len(shown) :].startswith(stop) for stop in stops)
        assert not any(stop in shown for stop in stops)
    else:
        assert shown == said
