"""Estimates of tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.policy import tokens


@pytest.mark.parametrize(("text_bytes", "count"), [(0, 0), (1, 1), (4, 1), (5, 2), (4000, 1000)])
def test_four_bytes_are_a_token_and_the_rest_rounds_up(text_bytes, count):
    assert tokens.estimate(text_bytes) == count


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_two_texts_together_never_count_more_than_apart(one, other):
    assert tokens.estimate(one + other) <= tokens.estimate(one) + tokens.estimate(other)


def chat(content, **fields):
    return {"model": "m", "messages": [{"role": "user", "content": content}], **fields}


def test_text_counts_in_utf8_bytes_whether_string_or_parts():
    as_string = tokens.estimate_prompt(chat("ü" * 400))
    as_parts = tokens.estimate_prompt(chat([{"type": "text", "text": "ü" * 400}]))
    assert as_string == 201  # 800 bytes of text and the role
    assert as_parts == 202  # and the part's type


def test_base64_counts_nothing_and_a_link_counts_its_letters():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 4000}}
    sound = {"type": "input_audio", "input_audio": {"data": "A" * 4000, "format": "wav"}}
    paper = {"type": "file", "file": {"file_data": "A" * 4000}}
    link = {"type": "image_url", "image_url": {"url": "https://host.example/" + "a" * 400}}
    assert tokens.estimate_prompt(chat([picture, sound, paper])) < 12
    assert tokens.estimate_prompt(chat([link])) > 100


def test_text_that_looks_like_a_data_url_still_counts():
    assert tokens.estimate_prompt(chat("data:" + "a" * 400)) > 100


def test_tools_count_with_their_names_and_other_fields_do_not():
    tool = {
        "type": "function",
        "function": {"name": "f", "parameters": {"properties": {"data": {"type": "string"}}}},
    }
    bare = tokens.estimate_prompt(chat("hello"))
    assert tokens.estimate_prompt(chat("hello", tools=[tool])) > bare + 10
    assert tokens.estimate_prompt(chat("hello", user="u" * 400, metadata={"a": "b" * 400})) == bare


def test_a_property_named_data_is_not_taken_for_a_file():
    def tool(name):
        return {"function": {"parameters": {"properties": {name: {"description": "d" * 400}}}}}

    counts = {tokens.estimate_prompt(chat("", tools=[tool(name)])) for name in ("data", "date")}
    assert len(counts) == 1
    assert counts.pop() > 100


@pytest.mark.parametrize("field", ["prompt", "input"])
def test_a_token_number_is_a_token(field):
    assert tokens.estimate_prompt({field: [7] * 400}) == 400
    assert tokens.estimate_prompt({field: [[7] * 100, [8] * 50]}) == 150


def test_a_body_without_any_text_counts_nothing():
    assert tokens.estimate_prompt({}) == 0
    assert tokens.estimate_prompt({"messages": None, "tools": [], "response_format": 7}) == 0
