"""OpenAI's chat format: heads, rewriting, and answers."""

from __future__ import annotations

import msgspec
import pytest

from calls import call_for
from gatemill.core.call import Head, Usage
from gatemill.core.errors import (
    InvalidRequest,
    InvalidType,
    InvalidValue,
    MissingParameter,
    UpstreamBadReply,
)
from gatemill.wire import chat

HI = [{"role": "user", "content": "Hi"}]


def head(**fields) -> Head:
    said = {"model": "m", "messages": HI, **fields}
    return chat.head(msgspec.json.encode({k: v for k, v in said.items() if v is not ...}))


def refusal(**fields) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        head(**fields)
    return refused.value


def test_a_head_says_what_the_gateway_acts_upon():
    assert head() == Head(model="m", wants_usage=False)
    assert head(stream=True, stream_options={"include_usage": True}, n=3, max_tokens=5) == Head(
        model="m", stream=True, wants_usage=True, output_max=5, choices=3
    )
    assert head(max_tokens=5, max_completion_tokens=7).output_max == 7
    # Vendors differ in which of the two they obey, so the larger one has to be paid for.
    assert head(max_tokens=7, max_completion_tokens=5).output_max == 7
    assert head(stream=None, stream_options=None, n=None, max_tokens=None) == head()


@pytest.mark.parametrize(
    "message",
    [
        {"role": "system", "content": "x"},
        {"role": "developer", "content": [{"type": "text", "text": "x"}]},
        {"role": "assistant"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "x", "tool_call_id": "1"},
        {"role": "function", "name": "f", "content": None},
    ],
)
def test_messages_of_every_role_are_taken(message):
    assert head(messages=[message]).model == "m"


@pytest.mark.parametrize(
    ("fields", "kind", "param"),
    [
        ({"model": ...}, MissingParameter, "model"),
        ({"model": ""}, InvalidValue, "model"),
        ({"model": 5}, InvalidType, "model"),
        ({"messages": []}, InvalidValue, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, InvalidValue, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, MissingParameter, "messages.0.content"),
        ({"messages": [{"role": "user", "content": None}]}, InvalidType, "messages.0.content"),
        ({"messages": [{"content": "x"}]}, MissingParameter, "messages.0.role"),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            MissingParameter,
            "messages.0.tool_call_id",
        ),
        (
            {"messages": [*HI, {"role": "user", "content": [{}]}]},
            MissingParameter,
            "messages.1.content.0.type",
        ),
        ({"temperature": 3}, InvalidValue, "temperature"),
        ({"top_p": -1}, InvalidValue, "top_p"),
        ({"n": 0}, InvalidValue, "n"),
        ({"max_tokens": 0}, InvalidValue, "max_tokens"),
        ({"stop": 5}, InvalidType, "stop"),
        ({"tools": [{}]}, MissingParameter, "tools.0.type"),
    ],
)
def test_a_mistake_is_named_by_its_place_and_has_a_remedy(fields, kind, param):
    refused = refusal(**fields)
    assert (type(refused), refused.param) == (kind, param)
    assert refused.message.startswith(f"`{param}`: ")


# --- Towards the provider ------------------------------------------------------------------------


def native(body: bytes, model: str = "m", *, stream_usage: bool = True) -> bytes:
    return chat.native(body, chat.head(body), model, stream_usage=stream_usage)


def encoded(**fields) -> bytes:
    return msgspec.json.encode({"model": "m", "messages": HI, **fields})


def test_a_body_that_needs_no_change_is_the_same_object():
    for body in (
        encoded(),
        encoded(x_vendor={"a": [1]}),
        encoded(stream=True, stream_options={"include_usage": True}),
        encoded(user="say \"model\" and 'n'"),
    ):
        assert native(body) is body
    body = encoded(stream=True)
    assert native(body, stream_usage=False) is body


def test_the_model_is_renamed_and_the_rest_stays():
    body = b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"x":1.50}'
    assert native(body, "theirs") == body.replace(b'"m"', b'"theirs"')


@pytest.mark.parametrize(
    "given", [..., None, {}, {"include_usage": False, "include_obfuscation": True}]
)
def test_a_stream_is_asked_for_its_usage(given):
    fields = {} if given is ... else {"stream_options": given}
    sent = msgspec.json.decode(native(encoded(stream=True, **fields)))
    assert sent["stream_options"] == {**(fields.get("stream_options") or {}), "include_usage": True}


@pytest.mark.parametrize(
    "twin", [b'"model":"m"', b'"mod\\u0065l":"m"', b'"n":1,"n":1', b'"max_tokens":9,"max_tokens":1']
)
def test_a_field_that_stands_twice_is_sent_once(twin):
    body = encoded()[:-1] + b"," + twin + b"}"
    sent = native(body)
    assert sent is not body
    assert msgspec.json.decode(sent) == msgspec.json.decode(body)
    assert sent.count(twin.split(b":")[0]) <= 1


# --- Answers -------------------------------------------------------------------------------------


def test_usage_is_read_in_disjoint_buckets():
    body = msgspec.json.encode(
        {
            "choices": [{}],
            "usage": {
                "prompt_tokens": 10,
                "completion_tokens": 8,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": None},
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
        }
    )
    assert chat.usage(body) == Usage(input=6, cache_read=4, output=3, reasoning=5)


def test_an_answer_may_say_nothing_of_usage():
    assert chat.usage(b'{"choices":[]}') is None
    assert chat.usage(b'{"choices":[],"usage":null,"error":null}') is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"choices":null}',
        b'{"error":{"message":"x"}}',
        b'{"choices":[],"error":"x"}',
        b'{"choices":[],"usage":{"prompt_tokens":-1}}',
        b'{"choices":' + b"[" * 5000,
    ],
)
def test_what_is_no_answer_is_a_bad_reply(body):
    with pytest.raises(UpstreamBadReply):
        chat.usage(body)


def test_the_hub_is_the_format_itself():
    call = call_for(chat, {"model": "m", "messages": HI, "stream": True})
    assert chat.to_chat(call.body, call) == {"model": "m", "messages": HI, "stream": True}
    assert chat.from_chat({"a": 1}, call, Usage()) == b'{"a":1}'
    writer = chat.writer(call)
    assert writer.write({"choices": []}) == b'data: {"choices":[]}\n\n'
    assert writer.finish(Usage(input=1)) == b"data: [DONE]\n\n"


def test_usage_is_written_only_for_those_who_asked():
    options = {"stream": True, "stream_options": {"include_usage": True}}
    call = call_for(chat, {"model": "m", "messages": HI, **options})
    writer = chat.writer(call)
    assert b'"usage":null' in writer.write({"id": "c", "choices": [{}]})
    usage, _, mark = writer.finish(Usage(input=1, output=2)).partition(b"\n\n")
    said = msgspec.json.decode(usage.removeprefix(b"data: "))
    assert (said["id"], said["choices"], said["usage"]["total_tokens"]) == ("c", [], 3)
    assert mark == writer.finish(None) == b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("said", "user"),
    [
        ({}, ""),
        ({"user": "u"}, "u"),
        ({"user": None, "safety_identifier": None}, ""),
        ({"user": "u", "safety_identifier": "s"}, "s"),
    ],
)
def test_the_head_names_the_end_user(said, user):
    assert head(**said).user == user
