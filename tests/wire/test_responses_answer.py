"""Complete hub answers as responses."""

from __future__ import annotations

import msgspec
import pytest
from openai.types.responses import Response

import openai_contract
from calls import call_for
from gatemill.core.call import Usage
from gatemill.core.errors import UpstreamBadReply
from gatemill.wire import responses

USAGE = Usage(input=5, cache_read=3, cache_write=2, output=7, reasoning=4)


def answered(message, finish="stop", usage=USAGE, **asked):
    call = call_for(responses, {"model": "m", "input": "hi", **asked})
    choice = {"index": 0, "message": message, "finish_reason": finish}
    completion = {"id": "chatcmpl-1", "created": 17, "model": "up-1", "choices": [choice]}
    reply = msgspec.json.decode(responses.from_chat(completion, call, usage))
    openai_contract.validate("Response", reply)
    Response.model_validate(reply)
    return reply


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_an_answer_that_was_cut_off_is_incomplete(finish):
    reply = answered({"content": "a"}, finish=finish)
    assert reply["status"] == "incomplete"
    assert reply["output"][0]["status"] == "incomplete"


def test_what_was_asked_is_repeated_with_the_apis_defaults():
    function = {"type": "function", "name": "f"}
    asked = {
        "instructions": "Be brief.",
        "metadata": {"a": "b"},
        "temperature": 0.5,
        "tools": [function, {"type": "custom", "name": "c"}],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "max_output_tokens": 20,
        "text": {"verbosity": "low"},
        "reasoning": {"effort": "low"},
        "store": True,
        "user": "u",
    }
    reply = answered({"content": "a"}, **asked)
    changed = {
        "store": False,
        "tools": [{**function, "parameters": None, "strict": None}, asked["tools"][1]],
        "text": {"verbosity": "low", "format": {"type": "text"}},
    }
    for name, value in {**asked, **changed, "top_p": 1.0, "truncation": "disabled"}.items():
        assert reply[name] == value, name
    bare = answered({"content": "a"}, metadata=None)
    assert (bare["metadata"], bare["tools"], bare["tool_choice"]) == ({}, [], "auto")


def test_a_complete_answer_has_every_kind_of_item():
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {
        "role": "assistant",
        "content": "Yes.",
        "reasoning_content": "Hm.",
        "tool_calls": [call, {"id": "c2", "type": "custom", "custom": {"name": "c", "input": "x"}}],
    }
    reply = answered(message, finish="tool_calls")
    assert [item["type"] for item in reply["output"]] == [
        "reasoning",
        "message",
        "function_call",
        "custom_tool_call",
    ]
    assert [item.get("call_id") for item in reply["output"][2:]] == ["c1", "c2"]
    assert len({item["id"] for item in reply["output"]}) == 4


def test_a_call_without_an_id_gets_one():
    message = {"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
    assert answered(message)["output"][0]["call_id"] == "call_fc_req1_0"


def test_the_service_tier_that_served_is_told():
    call = call_for(responses, {"model": "m", "input": "hi", "service_tier": "auto"})
    completion = {"service_tier": "flex", "choices": [{"message": {"content": "a"}}]}
    assert (
        msgspec.json.decode(responses.from_chat(completion, call, USAGE))["service_tier"] == "flex"
    )


@pytest.mark.parametrize(
    "completion",
    [
        {},
        {"choices": []},
        {"choices": "x"},
        {"choices": [{"message": {"content": 5}}]},
        {"choices": [{"message": {"tool_calls": [{"id": "c"}]}}]},
    ],
)
def test_an_answer_of_another_shape_is_the_providers_fault(completion):
    call = call_for(responses, {"model": "m", "input": "hi"})
    with pytest.raises(UpstreamBadReply):
        responses.from_chat(completion, call, USAGE)
