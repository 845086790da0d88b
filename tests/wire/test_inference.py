"""The smallest way to ask."""

from __future__ import annotations

import msgspec
import pytest

import openai_contract
from calls import call_for
from gatemill.core.call import Attempt, Target, TargetSettings, Timeouts, Usage
from gatemill.core.clock import FakeClock
from gatemill.core.errors import (
    InvalidJson,
    InvalidType,
    InvalidValue,
    MissingParameter,
    UnsupportedOperation,
    UnsupportedParameter,
    UpstreamBadReply,
)
from gatemill.core.ports import Surface
from gatemill.providers import echo, openai
from gatemill.upstream.inline import Inline
from gatemill.upstream.lane import Lane, LaneSettings
from gatemill.wire import inference

BODY = {"text": "hello", "model": "m"}
TARGET = Target(
    provider="echo",
    model="m",
    dialect=openai,
    transport=Inline(echo.respond, FakeClock()),
    timeouts=Timeouts(),
    price=None,
    settings=TargetSettings(),
    lane=Lane("p/m", LaneSettings(), None),
)


def translated(**fields):
    call = call_for(inference, {**BODY, **fields})
    chat = inference.to_chat(call.body, call)
    openai_contract.validate("CreateChatCompletionRequest", chat)
    return chat


def test_the_module_is_a_surface():
    surface: Surface = inference
    assert (surface.NAME, surface.FAMILY) == ("inference", "problem")


def test_a_text_becomes_a_user_message():
    said = [{"role": "user", "content": "hello"}]
    assert translated() == {"model": "m", "messages": said}
    assert translated(temperature=0, max_tokens=5) == {
        "model": "m",
        "messages": said,
        "temperature": 0,
        "max_completion_tokens": 5,
    }


def test_the_head_never_streams():
    read = call_for(inference, {**BODY, "max_tokens": 5}).head
    assert (read.model, read.stream, read.output_max) == ("m", False, 5)


@pytest.mark.parametrize(
    ("body", "kind", "param"),
    [
        (b"{", InvalidJson, None),
        (b"[]", InvalidType, None),
        ({"model": "m"}, MissingParameter, "text"),
        ({"text": "a"}, MissingParameter, "model"),
        ({**BODY, "text": ""}, InvalidValue, "text"),
        ({**BODY, "text": 5}, InvalidType, "text"),
        ({**BODY, "model": ""}, InvalidValue, "model"),
        ({**BODY, "temperature": 2.1}, InvalidValue, "temperature"),
        ({**BODY, "temperature": -0.1}, InvalidValue, "temperature"),
        ({**BODY, "temperature": "hot"}, InvalidType, "temperature"),
        ({**BODY, "max_tokens": 0}, InvalidValue, "max_tokens"),
    ],
)
def test_a_wrong_body_is_refused_with_the_field_at_fault(body, kind, param):
    with pytest.raises(kind) as caught:
        call_for(inference, body)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("stream", "/v1/chat/completions"),
        ("max_token", "Did you mean `max_tokens`?"),
        ("temprature", "Did you mean `temperature`?"),
        ("xyz", "Use text, model, temperature and max_tokens"),
        ("x" * 1000, "Use text, model"),
    ],
)
def test_an_unknown_field_is_refused_with_the_way_on(name, remedy):
    with pytest.raises(UnsupportedParameter) as caught:
        call_for(inference, {**BODY, name: False})
    assert caught.value.param == name[:60]
    assert remedy in caught.value.message
    assert len(caught.value.message) < 250


def answered(message, **completion):
    call = call_for(inference, BODY)
    call.attempts = [Attempt(TARGET, 1, started_s=10.5, ended_s=11.25)]
    answer = {"choices": [{"message": message, "finish_reason": "stop"}], **completion}
    return msgspec.json.decode(inference.from_chat(answer, call, Usage(input=3, output=4)))


def test_the_answer_tells_its_text_model_tokens_and_time():
    assert answered({"content": "hi"}, model="up") == {
        "result": "hi",
        "model": "up",
        "tokens_used": 7,
        "processing_time_ms": 1250.0,
    }


def test_the_answer_names_the_version_of_an_experiment():
    call = call_for(inference, BODY)
    call.attempts = [Attempt(target=TARGET, number=1, started_s=call.started_s)]
    completion = {"choices": [{"message": {"content": "hi"}}]}
    assert "model_version" not in msgspec.json.decode(
        inference.from_chat(completion, call, Usage())
    )
    call.version = "v2"
    said = msgspec.json.decode(inference.from_chat(completion, call, Usage()))
    assert said["model_version"] == "v2"


def test_a_refusal_is_a_result_and_an_unnamed_model_is_the_one_asked_for():
    reply = answered({"content": None, "refusal": "No."})
    assert (reply["result"], reply["model"]) == ("No.", "m")
    assert answered({"content": None})["result"] == ""


@pytest.mark.parametrize("completion", [{}, {"choices": []}, {"choices": [{"message": None}]}])
def test_an_answer_of_another_shape_is_the_providers_fault(completion):
    with pytest.raises(UpstreamBadReply):
        inference.from_chat(completion, call_for(inference, BODY), Usage())


def test_what_this_format_lacks_says_so():
    call = call_for(inference, BODY)
    for ask in (
        lambda: inference.native(call.body, call.head, "m", stream_usage=False),
        lambda: inference.usage(b"{}"),
        lambda: inference.passage(call.head),
        lambda: inference.writer(call),
    ):
        with pytest.raises(UnsupportedOperation, match="/v1/chat/completions"):
            ask()
