"""What is said, whatever the vendor."""

from __future__ import annotations

from typing import Any

import pytest

from gatemill.fake_provider.turn import GREETING, REFUSAL, Turn, prompt_tokens, take


def taken(faults: dict[str, float] | None = None, **body: Any) -> Turn:
    return take({"model": "m", **body}, faults or {}, 7, 1_700_000_000.9)


def test_greeting_is_three_tokens_and_stops() -> None:
    turn = taken()
    assert (turn.words, turn.finish, turn.completion_tokens) == (GREETING, "stop", 3)
    assert turn.created_s == 1_700_000_000


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_callers_limit_cuts_the_answer(field: str) -> None:
    turn = taken({"words": 10}, **{field: 4})
    assert (turn.text, turn.finish) == ("word0 word1 word2 word3", "length")


@pytest.mark.parametrize("limit", [3, 100, 0, None, "4"])
def test_limit_that_does_not_bind_changes_nothing(limit: object) -> None:
    assert taken(max_tokens=limit).finish == "stop"


def test_zero_words_are_an_empty_answer() -> None:
    assert (taken({"words": 0}).text, taken({"words": 0}).completion_tokens) == ("", 0)


def test_refusal_and_length_have_their_finish() -> None:
    assert (taken({"refusal": 1}).words, taken({"refusal": 1}).finish) == (REFUSAL, "refusal")
    assert taken({"length": 1}).finish == "length"


def test_tokens_of_thought_and_of_choices_are_counted() -> None:
    turn = taken({"reasoning": 1}, n=2)
    assert (turn.reasoning_tokens, turn.completion_tokens) == (8, 14)


def test_cached_tokens_come_on_top_of_the_prompt() -> None:
    turn = taken({"cached": 1}, messages=[{"content": "a b"}])
    assert (turn.prompt_tokens, turn.prompt_total) == (2, 152)


@pytest.mark.parametrize(
    ("tools", "names"),
    [
        (None, ["get_weather", "get_weather"]),
        ([{"type": "function", "function": {"name": "a"}}], ["a", "a"]),
        ([{"name": "a"}, {"name": "b"}, "junk", {"name": 3}], ["a", "b"]),
    ],
)
def test_tools_of_the_request_are_called_in_turn(tools: object, names: list[str]) -> None:
    turn = taken({"tools": 2}, tools=tools)
    assert [call.name for call in turn.calls] == names
    assert [call.arguments for call in turn.calls] == ['{"city": "Paris"}', '{"city": "Tokyo"}']
    assert (turn.finish, turn.words, turn.completion_tokens) == ("tools", (), 6)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "tool", "content": "21"}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": "21"}]}]},
        {"input": [{"type": "function_call_output", "output": "21"}]},
    ],
)
def test_request_that_brings_a_tools_result_gets_text(body: dict[str, Any]) -> None:
    assert taken({"tools": 1}, **body).words == GREETING


@pytest.mark.parametrize("turns", [[], "text", ["text"], [{"content": ["x"]}], [{"role": "user"}]])
def test_request_without_a_tools_result_gets_the_call(turns: object) -> None:
    assert taken({"tools": 1}, messages=turns).calls


@pytest.mark.parametrize(("asked", "given"), [(2, 2), (99, 16), (0, 1), ("2", 1), (None, 1)])
def test_choices_are_bounded(asked: object, given: int) -> None:
    assert taken(n=asked).choices == given


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"messages": [{"content": "one two"}, {"content": "three"}]}, 3),
        ({"messages": [{"content": [{"type": "text", "text": "a b"}, {"type": "image"}]}]}, 2),
        ({"input": "one two three"}, 3),
        ({"input": ["one two", "three"]}, 3),
        ({"input": [[1, 2], [3]]}, 3),
        ({"prompt": [1, 2, 3, 4]}, 4),
        ({"system": "be brief", "messages": [{"content": "hi"}]}, 3),
        ({"messages": [[[[[["too deep"]]]]]]}, 0),
        ({}, 0),
    ],
)
def test_prompt_tokens_are_words_and_given_tokens(body: dict[str, Any], tokens: int) -> None:
    assert prompt_tokens(body) == tokens
