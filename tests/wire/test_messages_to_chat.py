import msgspec
import pytest

from anthropic_cases import call_for
from gatemill.core.call import Usage
from gatemill.core.errors import (
    InvalidRequest,
    InvalidType,
    InvalidValue,
    MissingParameter,
    UnsupportedParameter,
    UpstreamBadReply,
)
from gatemill.wire import messages

GOOD = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def to_chat(**changes):
    body = msgspec.json.encode({**GOOD, **changes})
    call = call_for(messages, body)
    return messages.to_chat(body, call), call


def asked(content) -> dict:
    return {"messages": [{"role": "user", "content": [content]}]}


def reply(message, finish="stop", **completion) -> dict:
    completion = {
        "id": "chatcmpl-1",
        "model": "gpt",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        **completion,
    }
    call = call_for(messages, msgspec.json.encode(GOOD))
    return msgspec.json.decode(messages.from_chat(completion, call, Usage(input=3, output=1)))


@pytest.mark.parametrize(
    ("changes", "kind", "param"),
    [
        ({"max_tokens": 0}, InvalidValue, "max_tokens"),
        ({"container": "c"}, UnsupportedParameter, "container"),
        ({"mcp_servers": []}, UnsupportedParameter, "mcp_servers"),
        ({"tools": [{"type": "web_search_20260318"}]}, UnsupportedParameter, "tools.0.type"),
        ({"tools": [{"name": "a"}]}, MissingParameter, "tools.0.input_schema"),
        ({"tools": [{"input_schema": {}}]}, MissingParameter, "tools.0.name"),
        ({"tool_choice": {"type": "some"}}, InvalidValue, "tool_choice.type"),
        (asked({"type": "search_result"}), UnsupportedParameter, "messages.0.content.0.type"),
        (asked({"type": "text"}), MissingParameter, "messages.0.content.0.text"),
        (
            asked({"type": "image", "source": {"type": "file", "file_id": "f"}}),
            UnsupportedParameter,
            "messages.0.content.0.source.type",
        ),
        (
            asked({"type": "document", "source": {"type": "url", "url": "https://x"}}),
            UnsupportedParameter,
            "messages.0.content.0.source.type",
        ),
        (
            asked(
                {
                    "type": "document",
                    "source": {"type": "text", "data": "x"},
                    "citations": {"enabled": True},
                }
            ),
            UnsupportedParameter,
            "messages.0.content.0.citations",
        ),
        (
            asked({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text"}]}),
            MissingParameter,
            "messages.0.content.0.content.0.text",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "server_tool_use"}]}]},
            UnsupportedParameter,
            "messages.0.content.0.type",
        ),
        ({"output_config": {"effort": 1}}, InvalidType, "output_config.effort"),
    ],
)
def test_what_the_hub_cannot_express_is_refused_by_name(changes, kind, param):
    with pytest.raises(InvalidRequest) as caught:
        to_chat(**changes)

    assert (type(caught.value), caught.value.param) == (kind, param)


def test_hints_are_reported_once_and_neutral_values_are_not():
    body = msgspec.json.encode(
        {**GOOD, "service_tier": "auto", "speed": "fast", "diagnostics": None, "new": 1}
    )
    call = call_for(messages, body)

    messages.to_chat(body, call)
    messages.to_chat(body, call)

    assert call.reported == ("speed", "new")


@pytest.mark.parametrize(
    ("changes", "effort"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking": {"type": "between_tools"}, "output_config": {"effort": "low"}}, "none"),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}, "xhigh"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": -1}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 32000}}, "high"),
    ],
)
def test_thinking_becomes_an_effort(changes, effort):
    assert to_chat(**changes)[0].get("reasoning_effort") == effort


@pytest.mark.parametrize(
    ("choice", "hub", "parallel"),
    [
        ({"type": "auto"}, "auto", None),
        ({"type": "none"}, "none", None),
        ({"type": "any", "disable_parallel_tool_use": True}, "required", False),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}, None),
    ],
)
def test_the_tool_choice_keeps_its_meaning(choice, hub, parallel):
    chat, _ = to_chat(tool_choice=choice)

    assert chat["tool_choice"] == hub
    assert chat.get("parallel_tool_calls") == parallel


def test_sampling_and_strict_tools_are_carried():
    tool = {"type": "custom", "name": "f", "input_schema": {}, "strict": True}

    chat, _ = to_chat(top_p=0.5, temperature=0, top_k=3, tools=[tool])

    assert (chat["top_p"], chat["temperature"], chat["top_k"]) == (0.5, 0, 3)
    function = {"name": "f", "parameters": {}, "strict": True}
    assert chat["tools"] == [{"type": "function", "function": function}]


def test_thinking_of_another_provider_travels_as_reasoning_text():
    turn = [{"type": "thinking", "thinking": "Hm", "signature": ""}, {"type": "text", "text": "a"}]

    chat, _ = to_chat(messages=[{"role": "assistant", "content": turn}])

    assert chat["messages"] == [{"role": "assistant", "content": "a", "reasoning_content": "Hm"}]


def test_a_tool_result_without_content_is_an_empty_string():
    chat, _ = to_chat(**asked({"type": "tool_result", "tool_use_id": "a"}))

    assert chat["messages"] == [{"role": "tool", "tool_call_id": "a", "content": ""}]


def test_an_empty_assistant_turn_disappears():
    chat, _ = to_chat(messages=[*GOOD["messages"], {"role": "assistant", "content": []}])

    assert [message["role"] for message in chat["messages"]] == ["user"]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
        ("odd", "end_turn"),
        (None, "end_turn"),
    ],
)
def test_finish_reasons_are_translated(finish, reason):
    assert reply({"content": "x"}, finish)["stop_reason"] == reason


def test_a_refusal_is_a_text_and_a_stop_reason():
    said = reply({"content": None, "refusal": "I will not."})

    assert said["content"] == [{"type": "text", "text": "I will not."}]
    assert said["stop_reason"] == "refusal"


def test_tool_calls_end_the_turn_even_when_the_vendor_says_stop():
    call = {"function": {"name": "f", "arguments": ""}}

    said = reply({"content": "", "tool_calls": [call]})

    assert said["stop_reason"] == "tool_use"
    assert said["content"] == [{"type": "tool_use", "id": "toolu_1_0", "name": "f", "input": {}}]


def test_signed_thinking_comes_back_as_it_was():
    blocks = [{"type": "thinking", "thinking": "Hm", "signature": "s"}]

    said = reply({"content": "a", "thinking_blocks": blocks, "reasoning_content": "Hm"})

    assert said["content"][0] == blocks[0]


def test_a_completion_without_choices_is_a_bad_reply():
    with pytest.raises(UpstreamBadReply):
        reply({}, choices=[])
