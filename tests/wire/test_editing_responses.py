"""Streams of OpenAI's responses through an editor, event by event."""

from __future__ import annotations

import msgspec
import openai
import pytest

import openai_contract
from edited_streams import answering, argued, called, chunk, edited, events, written
from gatemill.core.errors import UpstreamBadReply
from gatemill.wire import sse
from gatemill.wire.editing import channels, editor
from toy_edits import ToyEdits

ANSWER = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "a SEC"}),
    chunk({"reasoning_content": "RET SEC"}),
    chunk({"content": "Take SEC"}),
    chunk({"content": "RETS"}),
    chunk({"refusal": "no SECRE"}),
    chunk(called(0, "", begins=True)),
    *(chunk(called(0, piece)) for piece in argued("a SECRET")),
    chunk({}, "tool_calls"),
]
STREAM = written("responses", ANSWER)


def stream_of(*said):
    return b"".join(
        sse.event(msgspec.json.encode({"sequence_number": at, **one}), one["type"])
        for at, one in enumerate(said)
    )


def part(text, kind="output_text", **more):
    place = {"item_id": "i", "output_index": 0, "content_index": 0}
    return {"type": f"response.{kind}.delta", **place, "delta": text, **more}


def test_the_sdk_reads_the_same_answer():
    out = edited("responses", STREAM, ToyEdits())
    with (
        answering(out) as http,
        openai.OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http) as client,
        client.responses.stream(model="m", input="hi") as stream,
    ):
        grown = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        response = stream.get_final_response()
    assert grown[-1] == response.output_text == "Take [X]S"
    reasoning, message, call = response.output
    assert reasoning.type == "reasoning"
    assert (reasoning.content or [])[0].text == "a [X] SEC"
    assert message.type == "message"
    assert message.content[1].type == "refusal"
    assert message.content[1].refusal == "no SECRE"
    assert call.type == "function_call"
    assert call.arguments == '{"q": "a [X]"}'


def test_every_event_is_one_of_the_format_and_they_count_on():
    out = events(edited("responses", STREAM, ToyEdits()))
    for event in out:
        openai_contract.validate_stream_event(event)
    assert [event["sequence_number"] for event in out] == list(range(len(out)))
    assert len(out) == len(events(STREAM)) + 3  # rests of reasoning, text and refusal


def test_the_parts_of_a_text_are_its_whole():
    said, whole = {}, {}
    for event in events(edited("responses", STREAM, ToyEdits())):
        kind, _, step = event["type"].rpartition(".")
        key = (kind, event.get("output_index"), event.get("content_index"))
        if step == "delta":
            assert key not in whole, "no part comes behind the whole"
            said[key] = said.get(key, "") + event["delta"]
        elif step == "done" and key in said:
            whole[key] = event.get("text", event.get("refusal", event.get("arguments")))
    assert said == whole
    assert len(whole) == 4


def test_a_text_that_is_told_again_is_edited_once():
    edits = ToyEdits()
    edited("responses", STREAM, edits)
    assert not [text for text in edits.wholes if "SEC" in text]
    assert edits.channels == [False, False, False, True]


def test_a_text_too_long_to_be_kept_is_edited_again():
    text = "x" * channels.KNOWN_CHARS_MAX
    done = {**part(""), "type": "response.output_text.done", "text": text + "SECRET"}
    del done["delta"]
    edits = ToyEdits()
    stream = stream_of(part(text), part("SEC"), part("RET"), done)
    *_, last = events(edited("responses", stream, edits))
    assert last["text"] == text + "[X]"
    assert edits.wholes == [text + "SECRET"]


def test_a_whole_that_differs_from_its_parts_is_edited_itself():
    done = {**part("x"), "type": "response.output_text.done", "text": "other SECRET"}
    del done["delta"]
    out = events(edited("responses", stream_of(part("a"), done), ToyEdits()))
    assert out[1]["text"] == "other [X]"


@pytest.mark.parametrize(
    ("kind", "is_json"),
    [
        ("function_call_arguments", True),
        ("mcp_call_arguments", True),
        ("custom_tool_call_input", False),
        ("code_interpreter_call_code", False),
        ("audio.transcript", False),
        ("invented", False),
    ],
)
def test_every_kind_of_part_is_a_text(kind, is_json):
    edits = ToyEdits()
    stream = stream_of(part("SEC", kind), part("RET", kind))
    assert [event["delta"] for event in events(edited("responses", stream, edits))] == ["", "[X]"]
    assert edits.channels == [is_json]


def test_sound_is_no_text():
    stream = stream_of({"type": "response.audio.delta", "delta": "SECRET"})
    assert edited("responses", stream, ToyEdits()) == stream


def test_log_probabilities_are_left_out_and_padding_is_not_repeated():
    one = part("SEC", logprobs=[{"token": "SEC", "logprob": -1}], obfuscation="xyz")
    none = part("", logprobs=[{"token": "", "logprob": -1}])
    first, second, added = events(edited("responses", stream_of(one, none), ToyEdits()))
    assert (first["logprobs"], first["obfuscation"], second["logprobs"]) == ([], "xyz", [])
    del one["obfuscation"]
    assert added == {**one, "delta": "SEC", "logprobs": [], "sequence_number": 2}


@pytest.mark.parametrize("kind", ["response.output_item.done", "response.content_part.done"])
def test_what_is_held_leaves_before_its_item_is_done(kind):
    done = {"type": kind, "output_index": 0}
    other = {**done, "output_index": 1}
    out = events(edited("responses", stream_of(part("SEC"), other, done), ToyEdits()))
    assert [event.get("delta") for event in out] == ["", None, "SEC", None]
    assert [event["sequence_number"] for event in out] == [0, 1, 2, 3]


@pytest.mark.parametrize("last", ["response.completed", "response.incomplete", "response.failed"])
def test_what_is_held_leaves_before_the_last_event(last):
    out = events(edited("responses", stream_of(part("SEC"), {"type": last}), ToyEdits()))
    assert [event["type"] for event in out] == ["response.output_text.delta"] * 2 + [last]
    assert [event["sequence_number"] for event in out] == [0, 1, 2]


def test_what_is_held_leaves_at_the_end_of_a_stream_that_was_cut():
    out = events(edited("responses", stream_of(part("SEC")), ToyEdits()))
    assert [(event["delta"], event["sequence_number"]) for event in out] == [("", 0), ("SEC", 1)]


def test_events_without_numbers_get_none():
    stream = b"".join(
        sse.event(msgspec.json.encode(one), "x") for one in (part("SEC"), {"words": "SECRET"})
    )
    first, second, added = events(edited("responses", stream, ToyEdits()))
    assert (first["delta"], second, added["delta"]) == ("", {"words": "[X]"}, "SEC")
    assert "sequence_number" not in added


def test_a_text_that_goes_on_behind_its_end_is_not_judged():
    walk = editor("responses", ToyEdits())
    done = {**part("x"), "type": "response.output_text.done"}
    walk.feed(stream_of(part("a"), done, part("b")))
    assert isinstance(walk.failure, UpstreamBadReply)
