"""Responses requests on their way into the hub."""

from __future__ import annotations

import pytest

import openai_contract
from calls import call_for
from gatemill.core.errors import InvalidRequest, UnsupportedParameter
from gatemill.wire import responses
from gatemill.wire.responses import thinking


def translated(given="hi", **fields):
    call = call_for(responses, {"model": "m", "input": given, **fields})
    chat = responses.to_chat(call.body, call)
    openai_contract.validate("CreateChatCompletionRequest", chat)
    return chat


def messages(*items, **fields):
    return translated(list(items), **fields)["messages"]


def refused(given="hi", **fields):
    with pytest.raises(InvalidRequest) as caught:
        translated(given, **fields)
    assert caught.value.param in caught.value.message
    return caught.value


def user(*parts):
    return {"role": "user", "content": list(parts)}


CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "42"}
HUB_CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SCHEMA = {"type": "object", "properties": {}}


def test_a_string_is_a_user_message_and_instructions_come_first():
    assert translated("hi", instructions="Be brief.") == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
        ],
    }


def test_messages_keep_their_role_and_order():
    roles = ["developer", "system", "user", "assistant"]
    said = messages(*({"role": role, "content": role, "type": "message"} for role in roles))
    assert said == [{"role": role, "content": role} for role in roles]


def test_one_plain_text_part_is_a_string_and_several_stay_parts():
    text = {"type": "input_text", "text": "a"}
    assert messages(user(text)) == [{"role": "user", "content": "a"}]
    part = {"type": "text", "text": "a"}
    assert messages(user(text, text)) == [{"role": "user", "content": [part, part]}]


def test_a_cache_breakpoint_stays_on_its_part():
    mark = {"mode": "explicit"}
    said = messages(user({"type": "input_text", "text": "a", "prompt_cache_breakpoint": mark}))
    assert said[0]["content"] == [{"type": "text", "text": "a", "prompt_cache_breakpoint": mark}]


def test_pictures_files_and_sound_are_carried():
    sound = {"data": "QQ==", "format": "wav"}
    said = messages(
        user(
            {"type": "input_image", "image_url": "data:image/png;base64,QQ==", "detail": "low"},
            {"type": "input_image", "image_url": "https://host.example/a.png"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:;base64,QQ=="},
            {"type": "input_audio", "input_audio": sound},
        )
    )
    assert said[0]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ==", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://host.example/a.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:;base64,QQ=="}},
        {"type": "input_audio", "input_audio": sound},
    ]


def test_an_answer_sent_back_loses_its_labels_only():
    text = {"type": "output_text", "text": "a", "annotations": [{"x": 1}], "logprobs": [{"y": 1}]}
    answer = {"type": "message", "id": "msg_1", "status": "completed", "phase": "final_answer"}
    said = messages({**answer, "role": "assistant", "content": [text]}, user(text))
    assert said[0] == {"role": "assistant", "content": "a"}


def test_a_refusal_stays_a_refusal():
    part = {"type": "refusal", "refusal": "No."}
    assert messages({"role": "assistant", "content": [part]})[0]["content"] == [part]


def test_one_turn_of_reasoning_text_and_calls_is_one_message():
    said = messages(
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"role": "assistant", "content": "Looking."},
        CALL,
        {**CALL, "call_id": "c2"},
        OUTPUT,
        {**OUTPUT, "call_id": "c2"},
    )
    assert said == [
        {
            "role": "assistant",
            "content": "Looking.",
            "reasoning_content": "Hm.",
            "tool_calls": [HUB_CALL, {**HUB_CALL, "id": "c2"}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        {"role": "tool", "tool_call_id": "c2", "content": "42"},
    ]


def test_text_between_calls_and_their_results_does_not_part_them():
    said = messages(
        {"role": "assistant", "content": "a"}, CALL, {"role": "assistant", "content": "b"}
    )
    texts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert said == [{"role": "assistant", "content": texts, "tool_calls": [HUB_CALL]}]


def test_two_answers_in_a_row_stay_two_messages():
    said = messages({"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"})
    assert [message["content"] for message in said] == ["a", "b"]


def test_reasoning_text_wins_over_its_summary_and_parts_are_paragraphs():
    item = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "short"}],
        "content": [
            {"type": "reasoning_text", "text": "one"},
            {"type": "reasoning_text", "text": "two"},
        ],
    }
    assert messages(item, CALL)[0]["reasoning_content"] == "one\n\ntwo"
    again = messages(item, item, CALL)[0]["reasoning_content"]
    assert again == "one\n\ntwo\n\none\n\ntwo"


def test_signed_thinking_comes_back_as_it_was():
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "eA=="},
    ]
    item = {"type": "reasoning", "summary": [], "encrypted_content": thinking.seal(blocks)}
    said = messages(item, CALL)
    assert said == [
        {
            "role": "assistant",
            "content": None,
            "thinking_blocks": blocks,
            "tool_calls": [HUB_CALL],
        }
    ]


def test_reasoning_that_only_its_own_provider_can_read_is_left_out():
    item = {"type": "reasoning", "summary": [], "encrypted_content": "gAAAAA"}
    assert messages(item, CALL) == [
        {"role": "assistant", "content": None, "tool_calls": [HUB_CALL]}
    ]


@pytest.mark.parametrize("damage", ["!", "é", "QQ==", "NQ=="])
def test_damaged_thinking_is_refused(damage):
    sealed = "gatemill.thinking.1." + damage
    item = {"type": "reasoning", "summary": [], "encrypted_content": sealed}
    assert refused([item]).param == "input.0.encrypted_content"


def test_a_result_may_hold_parts_and_a_direct_caller():
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    said = messages(CALL, {**OUTPUT, "output": parts, "caller": {"type": "direct"}})
    assert said[1]["content"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]


def test_a_picture_in_a_result_stays_there_for_dialects_that_can_carry_it():
    picture = {"type": "input_image", "image_url": "data:image/png;base64,QQ=="}
    call = call_for(responses, {"model": "m", "input": [CALL, {**OUTPUT, "output": [picture]}]})
    said = responses.to_chat(call.body, call)["messages"][1]
    assert said["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}
    ]


def test_custom_tools_are_carried_both_ways():
    said = messages(
        {"type": "custom_tool_call", "call_id": "c1", "name": "sh", "input": "ls"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "a.txt"},
    )
    assert said[0]["tool_calls"] == [
        {"id": "c1", "type": "custom", "custom": {"name": "sh", "input": "ls"}}
    ]
    assert said[1] == {"role": "tool", "tool_call_id": "c1", "content": "a.txt"}


def test_tools_take_the_hubs_form():
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}
    chat = translated(
        tools=[
            {"type": "function", "name": "f", "parameters": SCHEMA, "strict": True},
            {"type": "function", "name": "g", "description": "G", "strict": None},
            {"type": "custom", "name": "sh", "description": "Shell", "format": grammar},
            {"type": "custom", "name": "say", "format": {"type": "text"}},
            {"type": "custom", "name": "bare"},
        ]
    )
    definition = {"syntax": "lark", "definition": "start: /a/"}
    assert chat["tools"] == [
        {"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}},
        {"type": "function", "function": {"name": "g", "description": "G"}},
        {
            "type": "custom",
            "custom": {
                "name": "sh",
                "description": "Shell",
                "format": {"type": "grammar", "grammar": definition},
            },
        },
        {"type": "custom", "custom": {"name": "say", "format": {"type": "text"}}},
        {"type": "custom", "custom": {"name": "bare"}},
    ]


@pytest.mark.parametrize(
    ("asked", "hub"),
    [
        ("required", "required"),
        ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "custom", "name": "c"}, {"type": "custom", "custom": {"name": "c"}}),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": "f"}}],
                },
            },
        ),
    ],
)
def test_tool_choice_takes_the_hubs_form(asked, hub):
    assert translated(tool_choice=asked)["tool_choice"] == hub


def test_settings_are_carried():
    same = {
        "temperature": 0.5,
        "top_p": 0.9,
        "parallel_tool_calls": False,
        "metadata": {"a": "b"},
        "user": "u",
        "safety_identifier": "s",
        "service_tier": "flex",
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
    }
    chat = translated(
        **same,
        max_output_tokens=20,
        reasoning={"effort": "low", "summary": "auto"},
        text={"verbosity": "low", "format": None},
        stream=True,
        top_logprobs=2,
    )
    del chat["messages"]
    assert chat == {
        **same,
        "model": "m",
        "max_completion_tokens": 20,
        "reasoning_effort": "low",
        "verbosity": "low",
        "stream": True,
        "logprobs": True,
        "top_logprobs": 2,
    }


def test_logprobs_can_be_asked_for_by_include():
    assert translated(include=["message.output_text.logprobs"])["logprobs"] is True


@pytest.mark.parametrize(
    ("asked", "hub"),
    [
        ({"type": "json_object"}, {"type": "json_object"}),
        (
            {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True},
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
        ),
    ],
)
def test_the_format_of_text_is_carried(asked, hub):
    assert translated(text={"format": asked})["response_format"] == hub


NOTHING = {
    "store": True,
    "background": False,
    "truncation": "disabled",
    "previous_response_id": None,
    "conversation": None,
    "prompt": None,
    "max_tool_calls": 3,
    "include": ["reasoning.encrypted_content", "web_search_call.results"],
    "stream_options": {"include_obfuscation": False},
    "reasoning": None,
    "text": {"format": {"type": "text"}},
    "unknown": None,
}


def test_fields_that_ask_for_nothing_pass():
    assert translated(**NOTHING) == translated()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "r"}, "previous_response_id"),
        ({"conversation": "c"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"moderation": {"model": "m"}}, "moderation"),
        ({"unknown": 1}, "unknown"),
        ({"include": ["nothing.known"]}, "include.0"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"size": 1}}, "text.size"),
        ({"tools": [{"type": "function", "name": "f"}, {"type": "web_search"}]}, "tools.1.type"),
        (
            {"tools": [{"type": "function", "name": "f", "defer_loading": True}]},
            "tools.0.defer_loading",
        ),
        (
            {"tools": [{"type": "custom", "name": "c", "format": {"type": "xml"}}]},
            "tools.0.format.type",
        ),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice.type"),
        ({"given": [{"type": "item_reference", "id": "x"}]}, "input.0.type"),
        ({"given": [{"type": "web_search_call", "id": "x"}]}, "input.0.type"),
        ({"given": [{**CALL, "namespace": "n"}]}, "input.0.namespace"),
        ({"given": [{**CALL, "caller": {"type": "program"}}]}, "input.0.caller"),
        (
            {"given": [user({"type": "input_image", "file_id": "f"})]},
            "input.0.content.0.file_id",
        ),
        (
            {"given": [user({"type": "input_file", "file_url": "u"})]},
            "input.0.content.0.file_url",
        ),
        ({"given": [user({"type": "input_video"})]}, "input.0.content.0.type"),
    ],
)
def test_what_the_hub_cannot_say_is_refused_by_name(fields, param):
    error = refused(**fields)
    assert type(error) is UnsupportedParameter
    assert error.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"given": []}, "input"),
        ({"given": [{"role": "owner", "content": "a"}]}, "input.0.role"),
        ({"given": [{"role": "user"}]}, "input.0.content"),
        ({"given": [{"role": "user", "content": 5}]}, "input.0.content"),
        ({"given": [{"role": "user", "content": ["a"]}]}, "input.0.content.0"),
        ({"given": [user({"type": "input_text"})]}, "input.0.content.0.text"),
        ({"given": [user({"type": "input_text", "text": 5})]}, "input.0.content.0.text"),
        ({"given": [{"content": "a"}]}, "input.0.type"),
        ({"given": [{**OUTPUT, "call_id": None}]}, "input.0.call_id"),
        ({"given": [{"type": "reasoning", "summary": "a"}]}, "input.0.summary"),
        ({"include": "all"}, "include"),
        ({"include": [{}]}, "include"),
        ({"text": "json"}, "text"),
        ({"tool_choice": 5}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"stream_options": 5}, "stream_options"),
    ],
)
def test_what_is_not_the_format_is_refused_by_name(fields, param):
    assert refused(**fields).param == param
