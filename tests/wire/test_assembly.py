"""A stream put together is the answer that would have come without one."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

import openai_contract
from calls import call_for
from gatemill.core.call import Usage
from gatemill.core.errors import UpstreamInterrupted
from gatemill.core.ports import Outgoing
from gatemill.providers import echo
from gatemill.wire import completions, messages, responses, sse
from gatemill.wire.assembly import STREAMED, assembly, joined, merge

USAGE = Usage(input=3, output=4)
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "look",
            "parameters": {"type": "object", "properties": {"text": {"type": "string"}}},
        },
    }
]


def whole(operation: str, *events: bytes) -> Any:
    found = assembly(operation)
    for event in events:
        found.add(event)
    return found.whole()


def said(*chunks: Any) -> list[bytes]:
    return [sse.event(msgspec.json.encode(chunk)) for chunk in chunks]


def chunk(delta: Any, finish: str | None = None, index: int = 0, **more: Any) -> Any:
    choice = {"index": index, "delta": delta, "finish_reason": finish, **more}
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }


def echoed(**fields: Any) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": "one two three"}], **fields}
    return echo.respond(Outgoing("/chat/completions", msgspec.json.encode(body)), 1.0)


@pytest.mark.parametrize(
    "fields",
    [{}, {"n": 3}, {"max_tokens": 1}, {"tools": TOOLS, "tool_choice": "required"}],
    ids=str,
)
def test_a_chat_stream_is_the_completion(fields: Any):
    events = echoed(stream=True, stream_options={"include_usage": True}, **fields)
    one_by_one = whole("chat", *events)
    assert whole("chat", b"".join(events)) == one_by_one, "all events at once"
    complete = msgspec.json.decode(echoed(**fields).body)
    for each in (one_by_one, complete):
        for call in each["choices"][0]["message"].get("tool_calls", ()):
            call["id"] = "made of the request"
    assert {**one_by_one, "id": "", "usage": 0} == {**complete, "id": "", "usage": 0}
    assert one_by_one["usage"]["completion_tokens"] == complete["usage"]["completion_tokens"]
    openai_contract.validate("CreateChatCompletionResponse", one_by_one)


def test_names_that_are_repeated_stay_and_pieces_grow():
    call = {"index": 0, "id": "call_1", "type": "function"}
    found = whole(
        "chat",
        *said(
            chunk({"role": "assistant", "content": None}),
            chunk({"tool_calls": [{**call, "function": {"name": "look", "arguments": ""}}]}),
            chunk({"tool_calls": [{**call, "function": {"name": "look", "arguments": '{"a"'}}]}),
            chunk(
                {
                    "role": "assistant",
                    "tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}],
                }
            ),
            chunk({"tool_calls": [{"index": 1, "id": "call_2", "type": "function"}]}),
            chunk({}, "tool_calls"),
        ),
    )
    message = found["choices"][0]["message"]
    assert message["role"] == "assistant"
    assert message["content"] is None
    assert message["tool_calls"][0] == {
        "id": "call_1",
        "type": "function",
        "function": {"name": "look", "arguments": '{"a":1}'},
    }
    assert message["tool_calls"][1]["id"] == "call_2"


def test_what_vendors_add_is_kept():
    found = whole(
        "chat",
        *said(
            {**chunk({"reasoning_content": "hm"}), "system_fingerprint": "f"},
            chunk({"reasoning_content": "m."}, logprobs={"content": [{"token": "a"}]}),
            chunk({"content": "Yes"}, "stop", logprobs={"content": [{"token": "b"}]}),
            {"id": "c", "choices": [], "usage": {"prompt_tokens": 1}, "system_fingerprint": None},
        ),
    )
    (choice,) = found["choices"]
    assert choice["message"]["reasoning_content"] == "hmm."
    assert choice["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}]}
    assert (found["system_fingerprint"], found["usage"]) == ("f", {"prompt_tokens": 1})
    assert found["object"] == "chat.completion"


def test_a_stream_without_its_end_is_no_answer():
    for events in ([], said(chunk({"content": "a"}))):
        with pytest.raises(UpstreamInterrupted):
            whole("chat", *events, sse.DONE)
    two = said(chunk({"content": "a"}, "stop"), chunk({"content": "b"}, None, 1))
    with pytest.raises(UpstreamInterrupted):
        whole("chat", *two)


HUB = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Good "}),
    chunk({"content": "day"}),
    chunk({}, "stop"),
]
COMPLETION = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Good day"},
            "finish_reason": "stop",
        }
    ],
}
ASKED = {
    "completions": {"model": "m", "prompt": "Hi", "stream_options": {"include_usage": True}},
    "messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]},
    "responses": {"model": "m", "input": "Hi"},
}


@pytest.mark.parametrize("surface", [completions, messages, responses])
def test_a_translated_stream_is_the_translated_answer(surface: Any):
    call = call_for(surface, {**ASKED[surface.NAME], "stream": True})
    writer = surface.writer(call)
    events = [*map(writer.write, HUB), writer.finish(USAGE)]
    found = whole(surface.NAME, *filter(None, events))
    complete = msgspec.json.decode(surface.from_chat(COMPLETION, call, USAGE))
    for each in (found, complete):  # ids and times are made anew
        for name in ("id", "created_at", "completed_at"):
            each.pop(name, None)
        for item in each.get("output", ()):
            item.pop("id")
    assert found == complete


def test_blocks_of_a_message_grow():
    found = whole(
        "messages",
        *said(
            {"type": "message_start", "message": {"id": "msg", "content": [], "usage": {"input_tokens": 2}}},
            {"type": "ping"},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "h"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "m"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
            {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": {"a": 1}}},
            {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Yes"}},
            {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "t", "name": "look", "input": {}}},
            {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}},
            {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a"'}},
            {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ":1}"}},
            {"type": "content_block_start", "index": 3, "content_block": {"type": "tool_use", "id": "u", "name": "wait", "input": {}}},
            {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": ""}},
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
            {"type": "message_stop"},
        ),
    )  # fmt: skip
    assert found == {
        "id": "msg",
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 2, "output_tokens": 5},
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "Yes", "citations": [{"a": 1}]},
            {"type": "tool_use", "id": "t", "name": "look", "input": {"a": 1}},
            {"type": "tool_use", "id": "u", "name": "wait", "input": {}},
        ],
    }


@pytest.mark.parametrize("operation", ["messages", "responses"])
def test_a_format_with_a_last_event_waits_for_it(operation: str):
    with pytest.raises(UpstreamInterrupted):
        whole(operation, *said({"type": "response.created", "response": {"id": "r"}}))


def test_an_incomplete_response_is_an_answer():
    last = {"type": "response.incomplete", "response": {"id": "r", "status": "incomplete"}}
    assert (
        whole("responses", *said({"type": "ping"}, {"type": "response.created"}, last))["status"]
        == "incomplete"
    )


def test_a_long_answer_takes_linear_time():
    found = assembly("chat")
    piece = said(chunk({"content": "x" * 50}))[0] * 1000
    began_s = time.thread_time()
    for _ in range(100):
        found.add(piece)
    found.add(said(chunk({}, "stop"))[0])
    assert len(found.whole()["choices"][0]["message"]["content"]) == 5_000_000
    assert time.thread_time() - began_s < 20, "quadratic time would be minutes"


def test_only_some_formats_have_streams():
    assert {"chat", "completions", "messages", "responses"} == STREAMED
    with pytest.raises(KeyError):
        assembly("embeddings")


def test_merging_replaces_what_cannot_grow():
    known = {"a": 1, "b": None, "c": [1], "d": {"e": "x"}, "id": ""}
    merge(known, {"a": 2, "b": [{"index": 0, "t": "y"}], "c": [2], "d": {"e": "z"}, "id": "i"})
    merge(known, {"a": None, "b": [{"index": 0, "t": "z"}, {"index": 1}], "id": "j"})
    merge(known, {"a": None})
    assert joined(known) == {
        "a": 2,
        "b": [{"index": 0, "t": "yz"}, {"index": 1}],
        "c": [1, 2],
        "d": {"e": "xz"},
        "id": "i",
    }


def test_a_choice_without_an_index_is_the_first():
    bare = {"delta": {"content": "Hi"}, "finish_reason": "stop"}
    found = whole("chat", *said({"id": "c", "choices": [bare]}))
    assert found["choices"][0]["message"]["content"] == "Hi"


def test_a_tools_input_that_was_cut_is_handed_over_as_it_came():
    events = said(
        {"type": "message_start", "message": {"id": "msg_1", "content": []}},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "tool_use", "id": "t", "name": "look", "input": {}},
        },
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "input_json_delta", "partial_json": '{"text":"never en'},
        },
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}},
        {"type": "message_stop"},
    )
    (block,) = whole("messages", *events)["content"]
    assert block["input"] == {"malformed_arguments": '{"text":"never en'}


def test_parallel_calls_that_share_an_index_stay_apart():
    # As with Gemini: see providers/openai.py.
    calls = [
        {"index": 0, "id": id_, "type": "function", "function": {"name": "look", "arguments": text}}
        for id_, text in (("a", '{"text":"1"}'), ("b", '{"text":'))
    ]
    more = {"index": 0, "function": {"arguments": '"2"}'}}
    chunks = [chunk({"tool_calls": [each]}) for each in (*calls, more)]
    found = whole("chat", *said(*chunks, chunk({}, "tool_calls")))
    made = found["choices"][0]["message"]["tool_calls"]
    assert [each["id"] for each in made] == ["a", "b"]
    assert [each["function"]["arguments"] for each in made] == ['{"text":"1"}', '{"text":"2"}']
