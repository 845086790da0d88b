from __future__ import annotations

import msgspec
import pytest

from gatemill.core.errors import InvalidRequest, InvalidValue, UnsupportedParameter
from gatemill.runner import asked
from gatemill.runner.asked import Sampling


def chat(**fields):
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return asked.chat(msgspec.json.encode(body))


def completion(**fields):
    return asked.completion(msgspec.json.encode({"model": "m", "prompt": "hi", **fields}))


def test_a_chat_is_read():
    found = chat(
        stream=True,
        stream_options={"include_usage": True},
        max_tokens=3,
        max_completion_tokens=5,
        n=2,
        stop="x",
        temperature=0,
        top_p=0.5,
        top_k=7,
        seed=-1,
        user="u",
        response_format={"type": "text"},
        logprobs=False,
        tools=[],
        frequency_penalty=0,
    )
    assert found.chat == ({"role": "user", "content": "hi"},)
    assert (found.stream, found.wants_usage, found.output_max, found.choices) == (True, True, 5, 2)
    assert found.stops == ("x",)
    assert found.sampling == Sampling(0, 0.5, 7, -1)


def test_parts_of_text_are_one_text():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    found = chat(
        messages=[{"role": "user", "name": "eve", "content": parts}, {"role": "assistant"}]
    )
    assert found.chat == (
        {"role": "user", "content": "ab", "name": "eve"},
        {"role": "assistant", "content": ""},
    )


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        ("a", ("a",)),
        (["a", "b"], ("a", "b")),
        ([1, 2], ((1, 2),)),
        ([[1], [2, 3]], ((1,), (2, 3))),
        ("", ("",)),
    ],
)
def test_a_prompt_is_a_text_texts_or_tokens(prompt, prompts):
    assert completion(prompt=prompt).prompts == prompts


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", [{"type": "function"}]),
        ("functions", [{}]),
        ("logprobs", True),
        ("response_format", {"type": "json_object"}),
        ("frequency_penalty", 0.5),
        ("presence_penalty", -0.5),
        ("logit_bias", {"1": 2}),
        ("modalities", ["audio"]),
    ],
)
def test_what_a_chat_here_cannot_do_is_refused_by_name(field, value):
    with pytest.raises(UnsupportedParameter) as refused:
        chat(**{field: value})
    assert refused.value.param == field
    assert f"`{field}`" in refused.value.message


@pytest.mark.parametrize(
    ("field", "value"), [("logprobs", 0), ("echo", True), ("suffix", "x"), ("best_of", 3)]
)
def test_what_a_completion_here_cannot_do_is_refused_by_name(field, value):
    with pytest.raises(UnsupportedParameter) as refused:
        completion(**{field: value})
    assert refused.value.param == field


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages.0.content.0",
        ),
        ({"messages": [{"role": "a", "tool_calls": [1]}]}, "messages.0.tool_calls"),
        ({"n": 33}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 2.1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": "x" * 257}, "stop"),
        ({"seed": 1 << 63}, "seed"),
        ({"audio": {}, "modalities": ["text"], "tools": None}, None),
    ],
)
def test_what_is_odd_is_refused_with_its_place(fields, param):
    if param is None:
        assert chat(**fields).chat
        return
    with pytest.raises(InvalidRequest) as refused:
        chat(**fields)
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("prompt", "param"),
    [
        ([], "prompt"),
        (["a", 1], "prompt.1"),
        ([[]], "prompt.0"),
        ([1, -1], "prompt.0"),
        (["a"] * 33, "prompt"),
    ],
)
def test_odd_prompts_are_refused_with_their_place(prompt, param):
    with pytest.raises(InvalidValue) as refused:
        completion(prompt=prompt)
    assert refused.value.param == param
