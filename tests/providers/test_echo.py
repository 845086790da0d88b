"""The built-in provider that says back what it was told."""

from __future__ import annotations

import base64
import math
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import openai_contract
from gatemill.core.ports import Incoming, Outgoing
from gatemill.policy import tokens
from gatemill.providers import echo
from gatemill.wire import sse

NOW_S = 1_700_000_000.7
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {
            "type": "object",
            "properties": {"limit": {"type": "integer"}, "query": {"type": "string"}},
        },
    },
}


def ask(body, path="/chat/completions"):
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return echo.respond(Outgoing(path, raw), NOW_S)


def chat(text="Hello there, world", **fields):
    return {"model": "echo-1", "messages": [{"role": "user", "content": text}], **fields}


def answered(body, path="/chat/completions"):
    answer = ask(body, path)
    assert isinstance(answer, Incoming)
    assert answer.headers["content-type"] == "application/json"
    assert answer.status == 200, answer.body
    decoded = msgspec.json.decode(answer.body)
    schema = "CreateEmbeddingResponse" if path == "/embeddings" else "CreateChatCompletionResponse"
    if isinstance(body, dict) and body.get("encoding_format") == "base64":
        return decoded  # the published schema knows arrays of numbers only
    openai_contract.validate(schema, decoded)
    return decoded


def streamed(**fields):
    parts = ask(chat(**{"stream": True, **fields}))
    assert isinstance(parts, tuple)
    assert parts[-1] == sse.DONE
    chunks = [msgspec.json.decode(data) for part in parts[:-1] for _, data in sse.events(part)]
    assert len(chunks) == len(parts) - 1, "one event a part"
    for chunk in chunks:
        openai_contract.validate("CreateChatCompletionStreamResponse", chunk)
    return chunks


def refused(body, path="/chat/completions"):
    answer = ask(body, path)
    assert isinstance(answer, Incoming)
    told = msgspec.json.decode(answer.body)
    openai_contract.validate("ErrorResponse", told)
    return answer.status, told["error"]


def joined(chunks, index=0):
    return "".join(
        choice["delta"].get("content") or ""
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["index"] == index
    )


def test_the_last_user_message_comes_back():
    body = chat("first")
    body["messages"] += [
        {"role": "assistant", "content": "first"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "se"}, {"type": "text", "text": "cond"}],
        },
        {"role": "assistant", "content": None},
    ]
    reply = answered(body)
    assert reply["choices"][0]["message"]["content"] == "second"
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert reply["model"] == "echo-1"
    assert reply["created"] == 1_700_000_000


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "system", "content": "Be brief."}],
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": None}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}],
    ],
)
def test_without_text_it_says_so(messages):
    reply = answered({"model": "m", "messages": messages})
    assert reply["choices"][0]["message"]["content"] == "(empty)"


def test_usage_is_estimated_from_bytes():
    reply = answered(chat("a" * 400))
    assert reply["usage"]["prompt_tokens"] == tokens.estimate_prompt(chat("a" * 400)) == 101
    assert reply["usage"]["completion_tokens"] == 100
    assert reply["usage"]["total_tokens"] == 201


def test_equal_bodies_have_equal_answers_and_others_another_id():
    assert ask(chat()) == ask(chat())
    assert answered(chat())["id"] != answered(chat("else"))["id"]


@given(TEXT)
def test_the_pieces_of_a_stream_joined_are_the_text(text):
    chunks = streamed(text=text)
    assert joined(chunks) == (text or echo.NOTHING_SAID)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_each_piece_is_a_word_with_the_white_space_that_follows():
    pieces = [chunk["choices"][0]["delta"].get("content") for chunk in streamed(text=" a\n b  c")]
    assert pieces == ["", " ", "a\n ", "b  ", "c", None]


def test_a_stream_begins_with_the_role_and_has_one_id():
    chunks = streamed()
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert {(chunk["id"], chunk["created"]) for chunk in chunks} == {
        (chunks[0]["id"], 1_700_000_000)
    }


def test_usage_comes_in_a_last_chunk_only_when_asked():
    assert all("usage" not in chunk for chunk in streamed(stream_options=None))
    *others, last = streamed(stream_options={"include_usage": True})
    assert all(chunk["usage"] is None for chunk in others)
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_answer_is_cut_after_so_many_words(name):
    reply = answered(chat("one two three", **{name: 2}))["choices"][0]
    assert reply["message"]["content"] == "one two "
    assert reply["finish_reason"] == "length"
    chunks = streamed(text="one two three", **{name: 2})
    assert joined(chunks) == "one two "
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert answered(chat("one two three", **{name: 3}))["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("stop", "said"),
    [(" tw", "one"), (["zzz", "three", "two"], "one "), ([""], "one two three"), ("one", "")],
)
def test_the_answer_ends_before_the_first_stop_sequence(stop, said):
    reply = answered(chat("one two three", stop=stop))["choices"][0]
    assert (reply["message"]["content"], reply["finish_reason"]) == (said, "stop")


def test_every_choice_says_the_same_and_keeps_its_index():
    reply = answered(chat("a b", n=3))
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    assert reply["usage"]["completion_tokens"] == 3
    chunks = streamed(text="a b", n=3)
    assert [joined(chunks, index) for index in range(3)] == ["a b"] * 3


def test_a_required_tool_is_called_with_the_text_in_its_first_string():
    reply = answered(chat("find it", tools=[TOOL], tool_choice="required"))["choices"][0]
    assert reply["finish_reason"] == "tool_calls"
    assert reply["message"]["content"] is None
    function = reply["message"]["tool_calls"][0]["function"]
    assert function["name"] == "look_up"
    assert msgspec.json.decode(function["arguments"]) == {"query": "find it"}


def test_a_streamed_call_opens_with_its_name_and_brings_its_arguments_in_pieces():
    chunks = streamed(text="find it", tools=[TOOL], tool_choice="required", n=2)
    calls = [
        chunk["choices"][0]["delta"]["tool_calls"][0]
        for chunk in chunks
        if chunk["choices"][0]["index"] == 1 and "tool_calls" in chunk["choices"][0]["delta"]
    ]
    assert calls[0]["function"] == {"name": "look_up", "arguments": ""}
    assert all(call["index"] == 0 for call in calls)
    arguments = "".join(call["function"]["arguments"] for call in calls)
    assert msgspec.json.decode(arguments) == {"query": "find it"}
    opened = {c["choices"][0]["delta"]["tool_calls"][0]["id"] for c in chunks[:2]}
    assert len(opened) == 2, "each choice has a call of its own"


def named(name):
    return {"type": "function", "function": {"name": name}}


@pytest.mark.parametrize(
    "choice",
    [
        named("bare"),
        {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named("bare")]}},
    ],
)
def test_a_named_tool_without_a_schema_is_called_with_nothing(choice):
    reply = answered(chat(tools=[TOOL, named("bare")], tool_choice=choice))["choices"][0]
    assert reply["message"]["tool_calls"][0]["function"] == {"name": "bare", "arguments": "{}"}


@pytest.mark.parametrize(
    "choice",
    ["auto", "none", {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}],
)
def test_a_tool_that_is_only_allowed_is_not_called(choice):
    reply = answered(chat("a", tools=[TOOL], tool_choice=choice))["choices"][0]
    assert reply["message"]["content"] == "a"


@pytest.mark.parametrize("properties", [{}, {"a": True, "b": {"type": "number"}}, ["query"]])
def test_a_tool_that_takes_no_string_is_called_with_nothing(properties):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"properties": properties}}}
    reply = answered(chat(tools=[tool], tool_choice="required"))["choices"][0]
    assert reply["message"]["tool_calls"][0]["function"]["arguments"] == "{}"


@pytest.mark.parametrize("choice", ["required", named("other")])
def test_a_demand_for_a_tool_that_is_not_there_is_refused(choice):
    status, error = refused(chat(tool_choice=choice))
    assert (status, error["code"], error["param"]) == (400, "invalid_value", "tool_choice")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{", "invalid_json", None),
        ({"messages": []}, "missing_required_parameter", "model"),
        ({"model": "m", "messages": [{"role": 1}]}, "invalid_type", "messages.0.role"),
        (chat(n=0), "invalid_value", "n"),
        (chat(max_tokens=0), "invalid_value", "max_tokens"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_body_that_is_wrong_gets_an_error_object(body, code, param, stream):
    if isinstance(body, dict):
        body = {**body, "stream": stream}
    status, error = refused(body)
    assert (status, error["code"], error["param"]) == (400, code, param)
    assert error["type"] == "invalid_request_error"


def test_an_unknown_path_is_refused_and_a_query_is_no_part_of_it():
    assert refused(chat(), "/completions")[0] == 404
    assert answered(chat(), "/chat/completions?api-version=1")


def test_an_answer_has_a_most_of_pieces_and_of_bytes():
    many = answered(chat("a " * (echo.EVENTS_MAX + 1)))["choices"][0]
    assert many["finish_reason"] == "length"
    assert len(many["message"]["content"]) == 2 * echo.EVENTS_MAX
    status, error = refused(chat("a" * (echo.ANSWER_BYTES_MAX // 4 + 1), n=4))
    assert (status, error["param"]) == (400, "n")


def embed(given, **fields):
    return answered({"model": "e", "input": given, **fields}, "/embeddings")


def test_embeddings_are_unit_vectors_that_depend_on_the_input_alone():
    data = embed(["a", "b", "a"])["data"]
    vectors = [entry["embedding"] for entry in data]
    assert [entry["index"] for entry in data] == [0, 1, 2]
    assert vectors[0] == vectors[2] != vectors[1]
    assert all(len(vector) == 256 for vector in vectors)
    assert all(math.isclose(math.hypot(*vector), 1, rel_tol=1e-5) for vector in vectors)


@pytest.mark.parametrize("dimensions", [1, 7, 8, 4096])
def test_embeddings_have_the_dimensions_asked_for(dimensions):
    vector = embed("a", dimensions=dimensions)["data"][0]["embedding"]
    assert len(vector) == dimensions
    assert math.isclose(math.hypot(*vector), 1, rel_tol=1e-5)


def test_base64_holds_the_same_numbers_as_little_endian_floats():
    plain = embed("a")["data"][0]["embedding"]
    packed = base64.b64decode(embed("a", encoding_format="base64")["data"][0]["embedding"])
    assert list(struct.unpack("<256f", packed)) == plain


@pytest.mark.parametrize(
    ("given", "vectors", "count"),
    [("abcde", 1, 2), (["abcd", "e"], 2, 2), ([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3)],
)
def test_texts_count_by_bytes_and_token_arrays_by_length(given, vectors, count):
    reply = embed(given)
    assert len(reply["data"]) == vectors
    assert reply["usage"] == {"prompt_tokens": count, "total_tokens": count}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [1, "a"]}, "input"),
        ({"input": "a", "dimensions": 4097}, "dimensions"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": ["a"] * 129, "dimensions": 4096}, "input"),
    ],
)
def test_embeddings_that_cannot_be_made_are_refused(fields, param):
    status, error = refused({"model": "e", **fields}, "/embeddings")
    assert (status, error["param"]) == (400, param)
