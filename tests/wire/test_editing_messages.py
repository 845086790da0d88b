"""Streams of Anthropic's messages through an editor, event by event."""

from __future__ import annotations

import anthropic
import msgspec

from edited_streams import answering, argued, called, chunk, edited, events, written
from gatemill.core.errors import UpstreamBadReply
from gatemill.wire import sse
from gatemill.wire.editing import editor
from toy_edits import ToyEdits

ANSWER = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "a SEC"}),
    chunk({"reasoning_content": "RET SEC"}),
    chunk({"content": "Take SEC"}),
    chunk({"content": "RETS"}),
    chunk(called(0, "", begins=True)),
    *(chunk(called(0, piece)) for piece in argued("a SECRET")),
    chunk({}, "tool_calls"),
]


def stream_of(*said):
    return b"".join(sse.event(msgspec.json.encode(one), one["type"]) for one in said)


def block(index, **begun):
    return {"type": "content_block_start", "index": index, "content_block": begun}


def delta(index, **more):
    return {"type": "content_block_delta", "index": index, "delta": more}


def stop(index):
    return {"type": "content_block_stop", "index": index}


def test_the_sdk_reads_the_same_answer():
    out = edited("messages", written("messages", ANSWER), ToyEdits())
    with (
        answering(out) as http,
        anthropic.Anthropic(api_key="k", base_url="http://gateway", http_client=http) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[]) as stream,
    ):
        ended = [event.content_block for event in stream if event.type == "content_block_stop"]
        message = stream.get_final_message()
    thinking, text, tool = message.content
    assert ended == message.content
    assert thinking.type == "thinking"
    assert thinking.thinking == "a [X] SEC"
    assert text.type == "text"
    assert text.text == "Take [X]S"
    assert tool.type == "tool_use"
    assert tool.input == {"q": "a [X]"}
    assert message.stop_reason == "tool_use"


def test_a_part_that_looks_like_a_file_is_a_part_all_the_same():
    pieces = ("S", "data:a;base64,SECRET", "data:a;base64,SEC", "RET")
    stream = stream_of(
        block(0, type="text", text=""),
        *(delta(0, type="text_delta", text=piece) for piece in pieces),
        stop(0),
    )
    told = [
        event["delta"]["text"] for event in events(edited("messages", stream, ToyEdits()))[1:-1]
    ]
    assert "".join(told) == "Sdata:a;base64,[X]data:a;base64,[X]"


def test_what_is_held_leaves_before_its_block_stops():
    stream = stream_of(
        block(0, type="text", text="SE"),
        delta(0, type="text_delta", text="C"),
        stop(0),
        block(1, type="text", text=""),
        delta(1, type="text_delta", text="RET"),
        stop(1),
    )
    out = edited("messages", stream, ToyEdits())
    assert events(out) == [
        block(0, type="text", text=""),
        delta(0, type="text_delta", text=""),
        delta(0, type="text_delta", text="SEC"),
        stop(0),
        block(1, type="text", text=""),
        delta(1, type="text_delta", text="RET"),
        stop(1),
    ]
    assert out.count(b"event: content_block_delta\ndata: ") == 3


def test_signatures_pass_and_blocks_that_come_whole_are_edited():
    result = {
        "type": "web_search_tool_result",
        "tool_use_id": "SECRET",
        "content": [{"title": "SECRET"}],
    }
    citation = {"type": "char_location", "cited_text": "SECRET", "start_char_index": 3}
    stream = stream_of(
        block(0, type="thinking", thinking="", signature=""),
        delta(0, type="signature_delta", signature="SECRET"),
        stop(0),
        block(1, **result),
        stop(1),
        delta(2, type="citations_delta", citation=citation),
    )
    out = events(edited("messages", stream, ToyEdits()))
    assert out[1] == delta(0, type="signature_delta", signature="SECRET")
    assert out[3] == block(1, **{**result, "content": [{"title": "[X]"}]})
    assert out[5]["delta"]["citation"] == {**citation, "cited_text": "[X]"}


def test_inputs_of_tools_are_json():
    edits = ToyEdits()
    stream = stream_of(
        block(0, type="tool_use", id="t", name="find", input={}),
        delta(0, type="input_json_delta", partial_json='{"q": "SECRET"}'),
        stop(0),
    )
    out = events(edited("messages", stream, edits))
    assert out[1] == delta(0, type="input_json_delta", partial_json='{"q": "[X]"}')
    assert edits.channels == [True]


def test_a_block_that_nobody_stops_ends_with_its_message():
    closing = {
        "type": "message_delta",
        "delta": {"stop_reason": "stop_sequence", "stop_sequence": "S"},
    }
    stream = stream_of(delta(0, type="text_delta", text="SEC"), closing, {"type": "message_stop"})
    out = events(edited("messages", stream, ToyEdits()))
    assert out[1:] == [delta(0, type="text_delta", text="SEC"), closing, {"type": "message_stop"}]


def test_a_block_that_goes_on_behind_its_stop_is_not_judged():
    walk = editor("messages", ToyEdits())
    text = delta(0, type="text_delta", text="a")
    walk.feed(stream_of(text, stop(0), text))
    assert isinstance(walk.failure, UpstreamBadReply)


def test_other_events_pass_and_what_they_say_is_edited():
    stream = stream_of(
        {"type": "ping"},
        {
            "type": "message_start",
            "message": {"id": "m", "content": [], "usage": {"input_tokens": 1}},
        },
        {"type": "content_block_delta", "index": 0, "delta": None},
        {"type": "invented", "words": "SECRET"},
    )
    assert edited("messages", stream, ToyEdits()) == stream.replace(b"SECRET", b"[X]")
