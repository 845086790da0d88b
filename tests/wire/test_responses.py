"""The head of a responses request, its native body, and usage of its native answer."""

from __future__ import annotations

import msgspec
import pytest

from calls import call_for
from gatemill.core.call import Usage
from gatemill.core.errors import (
    InvalidJson,
    InvalidType,
    InvalidValue,
    MissingParameter,
    UpstreamBadReply,
)
from gatemill.core.ports import Surface
from gatemill.wire import responses

BODY = {"model": "m", "input": "hello"}
ANSWER = {"id": "resp_1", "object": "response", "status": "completed", "output": [], "error": None}


def test_the_package_is_a_surface():
    surface: Surface = responses
    assert (surface.NAME, surface.FAMILY) == ("responses", "openai")


def test_the_head_is_read():
    body = {**BODY, "stream": True, "max_output_tokens": 20, "unheard_of": {"deep": [1]}}
    head = call_for(responses, body).head
    assert (head.model, head.stream, head.output_max) == ("m", True, 20)
    assert head.wants_usage, "these streams always carry usage"
    plain = call_for(responses, {**BODY, "stream": None}).head
    assert (plain.stream, plain.output_max, plain.choices) == (False, None, 1)


@pytest.mark.parametrize(
    "stored",
    [{"prompt": {"id": "p"}}, {"previous_response_id": "r"}, {"conversation": "c"}],
)
def test_input_may_be_absent_when_something_stored_stands_in(stored):
    assert call_for(responses, {"model": "m", **stored}).head.model == "m"


@pytest.mark.parametrize(
    ("body", "kind", "param"),
    [
        (b"{", InvalidJson, None),
        (b"[]", InvalidType, None),
        ({"input": "a"}, MissingParameter, "model"),
        ({"model": "m"}, MissingParameter, "input"),
        ({"model": "m", "prompt": None, "conversation": None}, MissingParameter, "input"),
        ({**BODY, "model": ""}, InvalidValue, "model"),
        ({**BODY, "model": 5}, InvalidType, "model"),
        ({**BODY, "input": 5}, InvalidType, "input"),
        ({**BODY, "input": [{"role": 5}]}, InvalidType, "input.0.role"),
        ({**BODY, "input": [{"role": "user"}, "x"]}, InvalidType, "input.1"),
        ({**BODY, "stream": "yes"}, InvalidType, "stream"),
        ({**BODY, "max_output_tokens": 0}, InvalidValue, "max_output_tokens"),
        ({**BODY, "temperature": 3}, InvalidValue, "temperature"),
        ({**BODY, "tools": [{}]}, MissingParameter, "tools.0.type"),
    ],
)
def test_a_wrong_body_is_refused_with_the_field_at_fault(body, kind, param):
    with pytest.raises(kind) as caught:
        call_for(responses, body)
    assert caught.value.param == param
    assert caught.value.message.endswith(".")


def test_the_native_body_is_untouched_when_the_name_fits():
    body = b'{"model": "m",  "input": "x", "new": 1.50}'
    head = responses.head(body)
    assert responses.native(body, head, "m", stream_usage=True) is body


def test_only_the_name_changes_otherwise():
    body = b'{"model":"m","input":[{"type":"future_item","x":1.50}],"stream":true}'
    head = responses.head(body)
    renamed = responses.native(body, head, "gpt-x", stream_usage=True)
    assert renamed == body.replace(b'"m"', b'"gpt-x"')


def test_usage_falls_into_disjoint_buckets():
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 20},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 40},
        "total_tokens": 150,
    }
    read = responses.usage(msgspec.json.encode({**ANSWER, "usage": usage}))
    assert read == Usage(input=50, cache_read=30, cache_write=20, output=10, reasoning=40)
    assert responses.usage(msgspec.json.encode({**ANSWER, "usage": None})) is None


def test_a_count_that_is_null_is_not_told_and_the_answer_is_good():
    for said in ({"input_tokens": None, "output_tokens": 3}, {"input_tokens": 3}):
        usage = {"output_tokens": None, **said}
        read = responses.usage(msgspec.json.encode({**ANSWER, "usage": usage}))
        assert read is not None
        assert read.prompt + read.completion == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        b"\xff",
        b"[]",
        b"{}",
        msgspec.json.encode({**ANSWER, "error": {"code": "server_error", "message": "secret"}}),
        msgspec.json.encode({**ANSWER, "status": "failed"}),
        msgspec.json.encode({**ANSWER, "usage": {"input_tokens": -1}}),
    ],
)
def test_what_is_no_answer_is_the_providers_fault(answer):
    with pytest.raises(UpstreamBadReply) as caught:
        responses.usage(answer)
    assert "secret" not in caught.value.message


def test_an_error_inside_a_200_is_told_from_a_broken_answer():
    answer = {**ANSWER, "error": {"code": "server_error", "message": "m"}}
    with pytest.raises(UpstreamBadReply, match="200 with an error"):
        responses.usage(msgspec.json.encode(answer))


@pytest.mark.parametrize(
    ("said", "user"),
    [({}, ""), ({"user": "u"}, "u"), ({"user": "u", "safety_identifier": "s"}, "s")],
)
def test_the_head_names_the_end_user(said, user):
    assert call_for(responses, {**BODY, **said}).head.user == user
