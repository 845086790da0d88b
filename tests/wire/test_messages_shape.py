import msgspec
import pytest

from gatemill.core.call import Head, Usage
from gatemill.core.errors import (
    InvalidJson,
    InvalidType,
    InvalidValue,
    MissingParameter,
    UpstreamBadReply,
)
from gatemill.wire import messages

GOOD = {"model": "claude", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def body_of(**changes) -> bytes:
    merged = {**GOOD, **changes}
    return msgspec.json.encode({name: value for name, value in merged.items() if value is not ...})


def test_the_head_holds_model_stream_and_cap():
    head = messages.head(body_of(stream=True))

    assert head == Head(model="claude", stream=True, output_max=9)


def test_what_the_newest_sdk_sends_is_accepted():
    turns = [
        {"role": "user", "content": [{"type": "some_new_block", "x": 1}]},
        {"role": "system", "content": [{"type": "text", "text": "new rule"}]},
    ]
    tools = [{"type": "web_search_20260318", "name": "web_search"}, {"type": "browser_toolset"}]

    head = messages.head(body_of(messages=turns, tools=tools, max_tokens=0, unheard_of={"a": 1}))

    assert head.output_max == 0


@pytest.mark.parametrize(
    ("changes", "kind", "param"),
    [
        ({"model": ...}, MissingParameter, "model"),
        ({"model": ""}, InvalidValue, "model"),
        ({"model": 4}, InvalidType, "model"),
        ({"max_tokens": ...}, MissingParameter, "max_tokens"),
        ({"max_tokens": -1}, InvalidValue, "max_tokens"),
        ({"max_tokens": 1.5}, InvalidType, "max_tokens"),
        ({"messages": ...}, MissingParameter, "messages"),
        ({"messages": []}, InvalidValue, "messages"),
        ({"messages": [{"content": "x"}]}, MissingParameter, "messages.0.role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, InvalidValue, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, MissingParameter, "messages.0.content"),
        ({"messages": [{"role": "user", "content": 1}]}, InvalidType, "messages.0.content"),
        (
            {"messages": [{"role": "user", "content": [{}]}]},
            MissingParameter,
            "messages.0.content.0.type",
        ),
        ({"system": 5}, InvalidType, "system"),
        ({"system": [{"type": "image"}]}, InvalidValue, "system.0.type"),
        ({"temperature": 1.1}, InvalidValue, "temperature"),
        ({"stop_sequences": "x"}, InvalidType, "stop_sequences"),
        ({"stream": "yes"}, InvalidType, "stream"),
    ],
)
def test_a_mistake_is_named_by_its_path(changes, kind, param):
    with pytest.raises(kind) as caught:
        messages.head(body_of(**changes))

    assert type(caught.value) is kind
    assert caught.value.param == param
    assert param in caught.value.message


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"model": NaN}'])
def test_broken_json_is_said_to_be_broken(body):
    with pytest.raises(InvalidJson):
        messages.head(body)


def test_native_renames_the_model_and_touches_nothing_else():
    body = b'{"model": "claude", "weird" :  1e3, "messages":[ {"role":"user"} ]}'
    head = Head(model="claude")

    assert messages.native(body, head, "claude", stream_usage=True) is body
    renamed = messages.native(body, head, "claude-5", stream_usage=True)
    assert renamed == b'{"model":"claude-5","weird":1e3,"messages":[ {"role":"user"} ]}'


def test_usage_buckets_do_not_overlap():
    reply = msgspec.json.encode(
        {
            "type": "message",
            "content": [],
            "usage": {
                "input_tokens": 5,
                "cache_creation_input_tokens": 7,
                "cache_creation": {"ephemeral_1h_input_tokens": 2},
                "cache_read_input_tokens": 11,
                "output_tokens": 13,
                "output_tokens_details": {"thinking_tokens": 3},
            },
        }
    )

    assert messages.usage(reply) == Usage(
        input=5, cache_write=5, cache_write_1h=2, cache_read=11, output=10, reasoning=3
    )


def test_an_answer_without_usage_says_nothing():
    assert messages.usage(b'{"content":[]}') is None
    for said in (b"{}", b'{"input_tokens":0,"output_tokens":0}', b'{"input_tokens":null}'):
        assert messages.usage(b'{"content":[],"usage":%b}' % said) is None, "no answer has no token"


def test_an_error_inside_a_200_is_no_answer():
    with pytest.raises(UpstreamBadReply, match="error inside"):
        messages.usage(b'{"type":"error","error":{"type":"api_error","message":"x"}}')

    assert messages.usage(b'{"content":[],"error":null}') is None


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b'{"usage":{"input_tokens":1}}',
        b'{"content":[],"usage":{"input_tokens":-1}}',
        b"\xff",
    ],
)
def test_what_is_no_message_is_a_bad_reply(body):
    with pytest.raises(UpstreamBadReply):
        messages.usage(body)


@pytest.mark.parametrize(
    ("metadata", "user"),
    [(..., ""), (None, ""), ({}, ""), ({"user_id": None}, ""), ({"user_id": "u"}, "u")],
)
def test_the_head_names_the_end_user(metadata, user):
    assert messages.head(body_of(metadata=metadata)).user == user
