"""Hub answers and chunks as responses."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

import openai_contract
from calls import call_for
from gatemill.core.call import Usage
from gatemill.core.errors import UpstreamBadReply
from gatemill.wire import responses, sse
from gatemill.wire.responses import thinking
from gatemill.wire.responses.stream import ANSWER_CHARS_MAX

SDK_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
USAGE = Usage(input=5, cache_read=3, cache_write=2, output=7, reasoning=4)
BLOCK = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
CITATION = {"url": "https://host.example/", "title": "T", "start_index": 0, "end_index": 2}
LOGPROB = {"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": []}


def tool(index, **function):
    return {"tool_calls": [{"index": index, "function": function}]}


def opener(index, name):
    call = {"index": index, "id": f"call_{index}", "type": "function"}
    return {"tool_calls": [{**call, "function": {"name": name, "arguments": ""}}]}


def chunks(*deltas, finish="stop"):
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 17, "model": "up-1"}
    ends = [*({"index": 0, "delta": delta, "finish_reason": None} for delta in deltas)]
    ends.append({"index": 0, "delta": {}, "finish_reason": finish})
    return [{**frame, "choices": [choice]} for choice in ends]


def written(*deltas, finish="stop", usage=USAGE, **asked):
    """The events of a translated stream, checked for everything that holds of any."""
    writer = responses.writer(call_for(responses, {"model": "m", "input": "hi", **asked}))
    out = b"".join(writer.write(chunk) for chunk in chunks(*deltas, finish=finish))
    out += writer.finish(usage)
    events = []
    for name, data in sse.events(out):
        event = msgspec.json.decode(data)
        assert event["type"] == name
        openai_contract.validate_stream_event(event)
        SDK_EVENT.validate_python(event)
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert b"[DONE]" not in out
    assert_sound(events)
    return events


def assert_sound(events):
    """Items open once, grow while open, and end as the last event shows them."""
    open_, done = {}, {}
    for event in events:
        at = event.get("output_index")
        if event["type"] == "response.output_item.added":
            assert at == len(open_) + len(done)
            open_[at] = event["item"]["id"]
        elif event["type"] == "response.output_item.done":
            assert open_.pop(at) == event["item"]["id"]
            done[at] = event["item"]
        elif at is not None:
            assert open_[at] == event["item_id"]
    assert not open_
    assert events[-1]["response"]["output"] == [done[at] for at in sorted(done)]


def names(events):
    return [event["type"].removeprefix("response.") for event in events]


def test_a_text_streams_in_the_order_that_the_api_defines():
    events = written({"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo"})
    assert names(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event["delta"] for event in events[4:6]] == ["Hel", "lo"]
    assert events[0]["response"]["status"] == "in_progress"
    last = events[-1]["response"]
    assert last["status"] == "completed"
    assert last["output"][0]["content"][0]["text"] == "Hello"
    assert last["output"][0]["status"] == "completed"
    assert (last["id"], last["model"], last["created_at"]) == ("resp_req1", "up-1", 17)


def test_usage_has_its_details():
    assert written({"content": "a"})[-1]["response"]["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
        "output_tokens": 11,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 21,
    }
    assert "usage" not in written({"content": "a"}, usage=None)[-1]["response"]


def test_parallel_calls_that_alternate_keep_their_place():
    events = written(
        {"content": "Looking."},
        opener(0, "f"),
        tool(0, arguments='{"a":'),
        opener(1, "g"),
        tool(1, arguments="{"),
        tool(0, arguments="1}"),
        tool(1, arguments="}"),
        finish="tool_calls",
    )
    deltas = [
        (event["output_index"], event["delta"])
        for event in events
        if event["type"] == "response.function_call_arguments.delta"
    ]
    assert deltas == [(1, '{"a":'), (2, "{"), (1, "1}"), (2, "}")]
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "function_call"]
    assert [item.get("arguments") for item in output] == [None, '{"a":1}', "{}"]
    assert [item.get("call_id") for item in output] == [None, "call_0", "call_1"]
    assert names(events).index("output_item.done") < names(events).index(
        "function_call_arguments.delta"
    ), "the message ends where the calls begin"


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_streams_before_the_text(name):
    events = written({name: "H"}, {name: "m."}, {"content": "Yes."})
    assert names(events)[2:9] == [
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
    ]
    item = events[-1]["response"]["output"][0]
    assert item["content"] == [{"type": "reasoning_text", "text": "Hm."}]
    assert item["summary"] == []


def test_reasoning_is_a_summary_when_the_caller_asked_for_one():
    events = written(
        {"reasoning_content": "Hm."}, {"content": "Yes."}, reasoning={"summary": "auto"}
    )
    assert names(events)[3:7] == [
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
    ]
    item = events[-1]["response"]["output"][0]
    assert item["summary"] == [{"type": "summary_text", "text": "Hm."}]


def test_signed_thinking_leaves_so_that_it_can_come_back():
    events = written(
        {"reasoning_content": "Hm."},
        {"thinking_blocks": [BLOCK]},
        opener(0, "f"),
        tool(0, arguments="{}"),
    )
    item = events[-1]["response"]["output"][0]
    assert item["content"][0]["text"] == "Hm."
    assert thinking.unseal(item["encrypted_content"], "x") == [BLOCK]
    call = call_for(responses, {"model": "m", "input": events[-1]["response"]["output"]})
    turn = responses.to_chat(call.body, call)["messages"][0]
    assert turn["thinking_blocks"] == [BLOCK]
    assert turn["tool_calls"][0]["id"] == "call_0"


def test_unsigned_thinking_is_not_sealed():
    unsigned = {"type": "thinking", "thinking": "Hm."}
    events = written({"reasoning_content": "Hm."}, {"thinking_blocks": [unsigned]})
    assert "encrypted_content" not in events[-1]["response"]["output"][0]


def test_redacted_thinking_has_no_text():
    redacted = {"type": "redacted_thinking", "data": "eA=="}
    events = written({"thinking_blocks": [redacted]}, {"content": "Yes."})
    item = events[-1]["response"]["output"][0]
    assert (item["summary"], "content" in item) == ([], False)
    assert thinking.unseal(item["encrypted_content"], "x") == [redacted]


def test_thinking_between_texts_makes_items_of_its_own():
    events = written(
        {"content": "a"},
        {"reasoning_content": "Hm."},
        {"content": "b"},
        {"reasoning_content": "So."},
    )
    kinds = [item["type"] for item in events[-1]["response"]["output"]]
    assert kinds == ["message", "reasoning", "message", "reasoning"]


def test_a_refusal_is_a_part_of_its_own():
    events = written({"content": "Well. "}, {"refusal": "I can"}, {"refusal": "not."})
    parts = events[-1]["response"]["output"][0]["content"]
    assert [part["type"] for part in parts] == ["output_text", "refusal"]
    assert parts[1]["refusal"] == "I cannot."
    assert [event["content_index"] for event in events if "refusal." in event["type"]] == [1, 1, 1]


def test_a_custom_tools_call_streams_its_input():
    def custom(**fields):
        return {"tool_calls": [{"index": 0, "custom": fields}]}

    opened = custom(name="sh", input="")
    opened["tool_calls"][0] |= {"id": "call_0", "type": "custom"}
    events = written(opened, custom(input="l"), custom(input="s"), finish="tool_calls")
    assert names(events)[2:7] == [
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
    ]
    assert events[-1]["response"]["output"][0]["input"] == "ls"


def test_citations_and_logprobs_are_carried():
    message = {
        "content": "aa",
        "annotations": [{"type": "url_citation", "url_citation": CITATION}, {"type": "other"}],
    }
    call = call_for(responses, {"model": "m", "input": "hi"})
    choice = {"message": message, "finish_reason": "stop", "logprobs": {"content": [LOGPROB]}}
    reply = msgspec.json.decode(responses.from_chat({"choices": [choice]}, call, USAGE))
    openai_contract.validate("Response", reply)
    part = reply["output"][0]["content"][0]
    assert part["annotations"] == [{"type": "url_citation", **CITATION}]
    assert part["logprobs"] == [{**LOGPROB, "bytes": []}]
    cited = {"annotations": message["annotations"]}
    assert "output_text.annotation.added" not in names(written({"content": "aa"}))
    writer = responses.writer(call)
    writer.write(chunks({"content": "aa"})[0])
    assert b"event: response.output_text.annotation.added" in writer.write(chunks(cited)[0])


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("length", "max_output_tokens"), ("content_filter", "content_filter")],
)
def test_an_answer_that_was_cut_off_is_incomplete(finish, reason):
    events = written({"content": "a"}, opener(0, "f"), tool(0, arguments="{"), finish=finish)
    assert names(events)[-1] == "incomplete"
    last = events[-1]["response"]
    assert last["incomplete_details"] == {"reason": reason}
    assert [item["status"] for item in last["output"]] == ["completed", "incomplete"]


def test_an_answer_without_words_has_no_items():
    events = written({"role": "assistant"})
    assert names(events) == ["created", "in_progress", "completed"]
    writer = responses.writer(call_for(responses, {"model": "m", "input": "hi"}))
    assert [name for name, _ in sse.events(writer.finish(USAGE))][-1] == "response.completed"
    assert writer.response["model"] == "m"
    assert writer.response["created_at"] == 1_700_000_000


def test_other_choices_are_not_part_of_a_response():
    writer = responses.writer(call_for(responses, {"model": "m", "input": "hi"}))
    writer.write({"choices": [{"index": 1, "delta": {"content": "b"}}]})
    writer.finish(USAGE)
    assert writer.response["output"] == []


def test_a_choice_that_says_nothing_changes_nothing():
    writer = responses.writer(call_for(responses, {"model": "m", "input": "hi"}))
    writer.write({"choices": [{"index": 0, "finish_reason": "length"}]})
    writer.finish(USAGE)
    assert (writer.response["status"], writer.response["output"]) == ("incomplete", [])


def test_an_endless_answer_is_cut_off():
    writer = responses.writer(call_for(responses, {"model": "m", "input": "hi"}))
    writer.write(chunks({"content": "a"})[0])
    with pytest.raises(UpstreamBadReply, match="larger"):
        writer.write(chunks({"content": "a" * ANSWER_CHARS_MAX})[0])


PIECE = st.one_of(
    st.fixed_dictionaries({"content": st.text(max_size=3)}),
    st.fixed_dictionaries({"reasoning_content": st.text(max_size=3)}),
    st.fixed_dictionaries({"refusal": st.text(max_size=3)}),
    st.integers(0, 2).map(lambda index: opener(index, f"f{index}")),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(PIECE, max_size=12), st.sampled_from(["stop", "length", "tool_calls"]))
def test_any_order_of_pieces_makes_a_sound_stream(deltas, finish):
    events = written(*deltas, finish=finish)
    said = "".join(delta.get("content", "") for delta in deltas)
    shown = [
        part["text"]
        for item in events[-1]["response"]["output"]
        if item["type"] == "message"
        for part in item["content"]
        if part["type"] == "output_text"
    ]
    assert "".join(shown) == said
