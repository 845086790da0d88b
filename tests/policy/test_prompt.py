"""What a person asked, in every format, and no more of it than the limit."""

from __future__ import annotations

import pytest

from gatemill.policy.prompt import HEAD_CHARS, TAIL_CHARS, prompt_of

SAID = {"role": "user", "content": "Why?"}


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [SAID]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Why?"}]}]},
        {"input": "Why?"},
        {"input": [{"type": "message", **SAID}]},
        {
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Why?"}]},
                {"type": "reasoning"},
            ]
        },
        {"prompt": "Why?"},
        {"prompt": ["Why?"]},
        {"text": "Why?"},
        {"input": "Why?", "text": {"format": {"type": "text"}}},
    ],
)
def test_the_question_is_found_in_every_format(body):
    assert prompt_of(body).asked == "Why?"


@pytest.mark.parametrize(
    "body",
    [
        {"system": "Be kind."},
        {"system": [{"type": "text", "text": "Be kind."}]},
        {"instructions": "Be kind."},
        {"messages": [{"role": "system", "content": "Be kind."}]},
        {"messages": [{"role": "developer", "content": "Be kind."}]},
    ],
)
def test_rules_are_not_the_question(body):
    found = prompt_of(body)
    assert (found.asked, found.rules) == ("", "Be kind.")


def test_the_last_two_turns_of_the_user_count_and_the_answers_before_are_counted():
    turns = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "two"},
        {"role": "tool", "content": "result", "tool_call_id": "t"},
        {"role": "assistant", "content": None},
        {"role": "user", "content": "three"},
    ]
    found = prompt_of({"messages": turns, "tools": [{"type": "function"}]})
    assert (found.asked, found.earlier, found.tools) == ("two\nthree", 2, 1)


def test_pictures_and_odd_shapes_are_no_text():
    picture = {"type": "image_url", "image_url": {"url": "data:..."}}
    odd = {"role": "user", "content": [picture, 7, {"text": 1}]}
    found = prompt_of({"messages": [odd, 5], "input": 3, "prompt": [1, 2], "tools": "x"})
    assert (found.asked, found.tools) == ("", 0)


def test_of_a_long_text_the_beginning_and_the_end_are_read():
    text = "a" * HEAD_CHARS + "b" * 100_000 + "c" * TAIL_CHARS
    assert prompt_of({"text": text}).asked == "a" * HEAD_CHARS + "\n" + "c" * TAIL_CHARS
    assert prompt_of({"text": text[: HEAD_CHARS + TAIL_CHARS]}).asked == text[:3000]
