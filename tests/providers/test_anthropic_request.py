import msgspec
import pytest

from anthropic_cases import bare_call, target_for
from gatemill.core.errors import (
    InvalidRequest,
    InvalidType,
    InvalidValue,
    MissingParameter,
    UnsupportedParameter,
)
from gatemill.providers import anthropic

HELLO = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "f"}}


def sent(*, stream=False, settings=None, **chat):
    chat = {"model": "claude", "messages": [HELLO], **chat}
    target = target_for(anthropic, **(settings or {}))
    body, hints = anthropic.encode(chat, bare_call(stream=stream), target)
    return msgspec.json.decode(body), hints


def turns(*messages):
    return sent(messages=list(messages))[0]["messages"]


def refused(**chat) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        sent(**chat)
    return caught.value


def asked(*parts):
    return {"messages": [{"role": "user", "content": list(parts)}]}


def calling(arguments):
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return {"messages": [HELLO, {"role": "assistant", "tool_calls": [call]}]}


def test_the_least_request_gets_the_targets_model_and_output_default():
    body, hints = sent(settings={"output_default": 77})

    assert body == {
        "model": "upstream-model",
        "max_tokens": 77,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    }
    assert hints == ()


def test_the_newer_output_cap_wins():
    assert sent(max_tokens=5)[0]["max_tokens"] == 5
    assert sent(max_tokens=5, max_completion_tokens=6)[0]["max_tokens"] == 6


def test_a_stream_is_asked_for_when_the_caller_streams():
    assert sent(stream=True)[0]["stream"] is True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "x"}),
        ("web_search_options", {}),
        ("moderation", {"model": "m"}),
    ],
)
def test_what_changes_the_answers_meaning_is_refused(name, value):
    error = refused(**{name: value})

    assert type(error) is UnsupportedParameter
    assert error.param == name
    assert name in error.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 1),
        ("logit_bias", {"5": 1}),
        ("presence_penalty", 0.5),
        ("frequency_penalty", -1),
        ("store", True),
        ("metadata", {"a": "b"}),
        ("service_tier", "flex"),
        ("prediction", {"type": "content", "content": "x"}),
        ("verbosity", "low"),
        ("prompt_cache_key", "k"),
        ("unheard_of", 0),
        ("temperature", 1.5),
        ("reasoning_effort", "minimal"),
    ],
)
def test_a_hint_is_reported_or_refused_as_the_target_says(name, value):
    body, hints = sent(**{name: value})
    assert hints == (name,)
    assert name not in body

    error = refused(settings={"refuse_hints": True}, **{name: value})
    assert type(error) is UnsupportedParameter
    assert error.param == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 1),
        ("logprobs", False),
        ("top_logprobs", 0),
        ("modalities", ["text"]),
        ("presence_penalty", 0),
        ("frequency_penalty", 0.0),
        ("store", False),
        ("logit_bias", {}),
        ("metadata", {}),
        ("service_tier", "auto"),
        ("service_tier", "default"),
        ("verbosity", "medium"),
        ("seed", None),
        ("temperature", 1),
        ("top_p", 1.0),
        ("stop", []),
        ("response_format", {"type": "text"}),
        ("stream_options", {"include_usage": True}),
        ("tool_choice", "auto"),
        ("parallel_tool_calls", False),
        ("function_call", "none"),
    ],
)
def test_a_neutral_value_counts_as_absent(name, value):
    assert sent(settings={"refuse_hints": True}, **{name: value}) == sent()


def test_sampling_and_stops_are_carried():
    body, hints = sent(temperature=0, top_p=0.5, top_k=3, stop="END")

    assert (body["temperature"], body["top_p"], body["top_k"]) == (0, 0.5, 3)
    assert body["stop_sequences"] == ["END"]
    assert sent(stop=["a", "b"])[0]["stop_sequences"] == ["a", "b"]
    assert hints == ()
    assert refused(stop=["a", "\n"]).param == "stop"


def test_the_safety_identifier_is_the_user():
    assert sent(user="u")[0]["metadata"] == {"user_id": "u"}
    assert sent(user="u", safety_identifier="s")[0]["metadata"] == {"user_id": "s"}


@pytest.mark.parametrize(
    ("chat", "thinking", "config"),
    [
        ({"reasoning_effort": "none"}, {"type": "disabled"}, None),
        ({"reasoning_effort": "high"}, {"type": "adaptive"}, {"effort": "high"}),
        ({"reasoning_effort": "low", "tools": [TOOL], "tool_choice": "required"}, None, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "own", None),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000}, "reasoning_effort": "max"},
            "own",
            {"effort": "max"},
        ),
    ],
)
def test_effort_asks_for_adaptive_thinking_unless_the_caller_configured_it(chat, thinking, config):
    body, _ = sent(**chat)

    assert body.get("thinking") == (chat["thinking"] if thinking == "own" else thinking)
    assert body.get("output_config") == ({"effort": config} if config == "low" else config)


def test_a_schema_is_anthropics_output_format():
    schema = {"type": "object"}
    asks = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}

    body, _ = sent(response_format=asks, reasoning_effort="low")

    assert body["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": schema},
    }


@pytest.mark.parametrize(
    ("asks", "kind", "param"),
    [
        ({"type": "json_object"}, UnsupportedParameter, "response_format.type"),
        ({"type": "json_schema"}, MissingParameter, "response_format.json_schema.schema"),
    ],
)
def test_json_without_a_schema_is_refused(asks, kind, param):
    error = refused(response_format=asks)

    assert (type(error), error.param) == (kind, param)


@pytest.mark.parametrize(
    ("choice", "made"),
    [
        ("none", {"type": "none"}),
        ("auto", {"type": "auto"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "f"}}, {"type": "tool", "name": "f"}),
    ],
)
def test_tool_choices_are_translated(choice, made):
    assert sent(tools=[TOOL], tool_choice=choice)[0]["tool_choice"] == made


@pytest.mark.parametrize(
    ("choice", "made"),
    [
        (None, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", {"type": "any", "disable_parallel_tool_use": True}),
        ("none", {"type": "none"}),
    ],
)
def test_one_call_at_a_time_is_part_of_the_choice(choice, made):
    body, _ = sent(tools=[TOOL], tool_choice=choice, parallel_tool_calls=False)

    assert body["tool_choice"] == made


@pytest.mark.parametrize(
    ("chat", "kind", "param"),
    [
        ({"tool_choice": "required"}, InvalidValue, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": "maybe"}, InvalidValue, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {}}, InvalidValue, "tool_choice"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}},
            UnsupportedParameter,
            "tool_choice.type",
        ),
        ({"functions": [{"name": "f"}], "function_call": {}}, InvalidValue, "function_call"),
        ({"tools": [{"type": "custom"}]}, UnsupportedParameter, "tools.0.type"),
        (
            {"tools": [{"type": "function", "function": {}}]},
            MissingParameter,
            "tools.0.function.name",
        ),
        ({"reasoning_effort": "huge"}, InvalidValue, "reasoning_effort"),
        ({"temperature": "hot"}, InvalidType, "temperature"),
        ({"messages": [{"role": "system", "content": "x"}]}, InvalidValue, "messages"),
        ({"messages": [{"role": "user", "content": " \n"}]}, InvalidValue, "messages"),
        (asked({"type": "video"}), InvalidValue, "messages.0.content.0.type"),
        (asked({"type": "input_audio"}), UnsupportedParameter, "messages.0.content.0"),
        (
            asked({"type": "image_url", "image_url": {"url": "ftp://x"}}),
            InvalidValue,
            "messages.0.content.0.image_url.url",
        ),
        (
            asked({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA=="}}),
            UnsupportedParameter,
            "messages.0.content.0.image_url.url",
        ),
        (
            asked({"type": "file", "file": {"file_id": "file-1"}}),
            UnsupportedParameter,
            "messages.0.content.0.file.file_id",
        ),
        (
            asked({"type": "file", "file": {}}),
            UnsupportedParameter,
            "messages.0.content.0.file.file_data",
        ),
        (
            asked({"type": "file", "file": {"file_data": "data:text/plain;base64,/w=="}}),
            InvalidValue,
            "messages.0.content.0.file.file_data",
        ),
        (
            asked({"type": "file", "file": {"file_data": "data:text/plain;base64,Grüße"}}),
            InvalidValue,
            "messages.0.content.0.file.file_data",
        ),
        (
            asked({"type": "file", "file": {"file_data": "UEsDBA=="}}),
            UnsupportedParameter,
            "messages.0.content.0.file.file_data",
        ),
        (calling("{"), InvalidValue, "messages.1.tool_calls.0.function.arguments"),
        (calling("[1]"), InvalidValue, "messages.1.tool_calls.0.function.arguments"),
        (
            {"messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": "1"}}]},
            InvalidValue,
            "messages.0.function_call.arguments",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "type": "custom"}]}]},
            UnsupportedParameter,
            "messages.0.tool_calls.0",
        ),
        (
            {"messages": [{"role": "assistant", "audio": {"id": "a"}}]},
            UnsupportedParameter,
            "messages.0.audio",
        ),
    ],
)
def test_what_cannot_be_carried_is_named_by_its_path(chat, kind, param):
    error = refused(**chat)

    assert (type(error), error.param) == (kind, param)
    assert f"`{param}" in error.message


def test_tool_results_come_first_in_their_turn():
    made = turns(
        HELLO,
        {"role": "assistant", "tool_calls": [{"id": i, "function": {"name": "f"}} for i in "ab"]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "user", "content": "wait"},
        {"role": "tool", "tool_call_id": "b", "content": [], "is_error": True},
    )

    assert [turn["role"] for turn in made] == ["user", "assistant", "user"]
    assert made[2]["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": "a",
            "content": [{"type": "text", "text": "1"}],
        },
        {"type": "tool_result", "tool_use_id": "b", "is_error": True},
        {"type": "text", "text": "wait"},
    ]


def test_neighbours_of_one_role_become_one_turn():
    made = turns(HELLO, HELLO, {"role": "assistant", "content": "a"}, {"role": "assistant"})

    assert [len(turn["content"]) for turn in made] == [2, 1]


def test_unsigned_thinking_is_reported_and_not_sent():
    said = {
        "role": "assistant",
        "content": "a",
        "reasoning_content": "Hm",
        "thinking_blocks": [{"type": "thinking", "thinking": "Hm"}, {"type": "redacted_thinking"}],
    }

    body, hints = sent(messages=[HELLO, said])

    assert body["messages"][1]["content"] == [{"type": "text", "text": "a"}]
    assert hints == ("messages.thinking_blocks", "messages.reasoning_content")


def test_names_of_speakers_are_reported():
    assert sent(messages=[{**HELLO, "name": "Ann"}])[1] == ("messages.name",)


def test_a_pdf_in_bare_base64_is_recognised():
    body, _ = sent(**asked({"type": "file", "file": {"file_data": "JVBERi0x"}}))

    assert body["messages"][0]["content"] == [
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"},
        }
    ]


def test_a_function_result_without_a_call_keeps_its_name_as_id():
    made = turns(HELLO, {"role": "function", "name": "f.g", "content": None})

    assert made[0]["content"][0] == {"type": "tool_result", "tool_use_id": "f_g"}
