"""Streams of chat and text completions through an editor, event by event."""

from __future__ import annotations

import msgspec
import openai
import pytest

import openai_contract
from edited_streams import answering, argued, assembled, called, chunk, edited, events, written
from gatemill.core.errors import UpstreamBadReply
from gatemill.wire import sse
from gatemill.wire.editing import editor
from toy_edits import ToyEdits


def stream_of(*chunks):
    return b"".join(sse.event(msgspec.json.encode(one)) for one in chunks) + sse.DONE


def said(stream):
    """(choice, its delta, its reason) of each event."""
    return [
        (choice["index"], choice["delta"], choice["finish_reason"])
        for event in events(stream)
        for choice in event["choices"]
    ]


ANSWER = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Take "}),
    chunk({"content": "SEC"}),
    chunk({"content": "RET or S"}),
    chunk(called(0, "", begins=True)),
    *(chunk(called(0, piece)) for piece in argued("a SECRET")),
    chunk(called(1, "", begins=True)),
    *(chunk(called(1, piece)) for piece in argued("SECRETS")),
    chunk({}, "tool_calls"),
]


def test_the_sdk_reads_the_same_answer_and_tells_of_whole_texts():
    out = edited("chat", written("chat", ANSWER), ToyEdits())
    ended = {}
    with (
        answering(out) as http,
        openai.OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http) as client,
        client.chat.completions.stream(model="m", messages=[]) as stream,
    ):
        for event in stream:
            if event.type == "content.done":
                ended["content"] = event.content
            elif event.type == "tool_calls.function.arguments.done":
                ended[event.index] = event.arguments
        message = stream.get_final_completion().choices[0].message
    assert ended == {"content": "Take [X] or S", 0: '{"q": "a [X]"}', 1: '{"q": "[X]S"}'}
    assert message.content == "Take [X] or S"
    calls = message.tool_calls or []
    assert [call.function.arguments for call in calls] == ['{"q": "a [X]"}', '{"q": "[X]S"}']


def test_every_event_is_one_of_the_format():
    for event in events(edited("chat", written("chat", ANSWER), ToyEdits())):
        openai_contract.validate("CreateChatCompletionStreamResponse", event)


def test_arguments_are_json_and_what_is_said_is_not():
    edits = ToyEdits()
    edited("chat", written("chat", ANSWER), edits)
    assert edits.channels == [False, True, True]


def test_choices_do_not_mix():
    stream = stream_of(
        chunk({"content": "SEC"}),
        chunk({"content": "SEC"}, index=1),
        chunk({"content": "OND"}),
        chunk({"content": "RET"}, index=1),
        chunk({}, "stop"),
        chunk({}, "stop", index=1),
    )
    whole = assembled("chat", edited("chat", stream, ToyEdits()))
    assert [choice["message"]["content"] for choice in whole["choices"]] == ["SECOND", "[X]"]


def test_a_part_that_looks_like_a_file_is_a_part_all_the_same():
    pieces = ("S", "data:a;base64,SECRET", "data:a;base64,SEC", "RET", f"data:;base64,{'A' * 300}")
    stream = stream_of(*(chunk({"content": piece}) for piece in pieces), chunk({}, "stop"))
    (choice,) = assembled("chat", edited("chat", stream, ToyEdits()))["choices"]
    assert choice["message"]["content"] == "".join(pieces).replace("SECRET", "[X]")


def test_a_picture_that_comes_whole_is_no_text():
    picture = {"index": 0, "type": "image_url", "image_url": {"url": "data:a;base64,SECRET"}}
    stream = stream_of(chunk({"images": [picture]}), chunk({}, "stop"))
    assert edited("chat", stream, ToyEdits()) == stream


def test_numbers_of_tokens_say_nothing_beside_a_text_that_may_change():
    one = chunk({"content": "a"})
    one["choices"][0]["token_ids"] = [7]
    (event,) = events(edited("chat", stream_of(one), ToyEdits()))
    assert event["choices"][0]["token_ids"] == []
    assert edited("chat", stream_of(one), ToyEdits(changes=False)) == stream_of(one)


def test_parts_of_tool_calls_may_come_in_turns():
    stream = stream_of(
        chunk(called(0, '{"q": "SEC', begins=True)),
        chunk(called(1, '{"q": "', begins=True)),
        chunk(called(0, 'RET"}')),
        chunk(called(1, 'SECRET"}')),
        chunk({}, "tool_calls"),
    )
    message = assembled("chat", edited("chat", stream, ToyEdits()))["choices"][0]["message"]
    arguments = [call["function"]["arguments"] for call in message["tool_calls"]]
    assert arguments == ['{"q": "[X]"}'] * 2


def test_two_parts_of_one_call_in_one_event_are_both_edited():
    first, second = called(0, "SEC", begins=True), called(0, "RET S")
    both = {"tool_calls": first["tool_calls"] + second["tool_calls"]}
    message = assembled("chat", edited("chat", stream_of(chunk(both, "stop")), ToyEdits()))
    call = message["choices"][0]["message"]["tool_calls"][0]
    assert call["function"]["arguments"] == "[X] S"


def test_what_is_held_leaves_before_the_choice_ends():
    stream = stream_of(chunk({"content": "SEC"}), chunk({}, "stop"))
    out = said(edited("chat", stream, ToyEdits()))
    assert out == [
        (0, {"content": ""}, None),
        (0, {"content": "SEC"}, None),
        (0, {}, "stop"),
    ]


def test_an_end_that_says_something_keeps_it():
    stream = stream_of(chunk({"content": "SEC"}), chunk({"content": "S"}, "length"))
    out = said(edited("chat", stream, ToyEdits()))
    assert out == [(0, {"content": ""}, None), (0, {"content": "SECS"}, "length")]


def test_what_is_held_leaves_before_the_end_mark_of_an_answer_without_a_reason():
    stream = stream_of(chunk({"content": "SEC"}))
    out = edited("chat", stream, ToyEdits())
    assert said(out)[-1] == (0, {"content": "SEC"}, None)
    assert out.endswith(sse.DONE)


def test_what_is_held_leaves_at_the_end_of_a_stream_without_an_end_mark():
    stream = stream_of(chunk({"content": "SEC"})).removesuffix(sse.DONE)
    assert said(edited("chat", stream, ToyEdits()))[-1] == (0, {"content": "SEC"}, None)


def test_text_and_tool_call_in_one_event_are_one_text_with_what_came_before():
    stream = stream_of(
        chunk({"content": "SEC"}),
        chunk({"content": "RET S", **called(0, "{}", begins=True)}),
        chunk({"content": "ECRET"}),
        chunk({}, "tool_calls"),
    )
    message = assembled("chat", edited("chat", stream, ToyEdits()))["choices"][0]["message"]
    assert message["content"] == "[X] SECRET"  # what is said behind a call is a text of its own


def test_events_that_are_added_carry_no_usage_and_no_padding():
    first = chunk({"content": "SEC"}) | {"usage": None}
    last = chunk({}, "stop") | {"usage": {"total_tokens": 9}, "obfuscation": "xyz"}
    *_, added, closing = events(edited("chat", stream_of(first, last), ToyEdits()))
    assert added["usage"] is None
    assert "obfuscation" not in added
    assert closing == last


def test_log_probabilities_are_left_out_where_texts_can_change():
    one = chunk({"content": "a"})
    one["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -1}]}
    [event] = events(edited("chat", stream_of(one), ToyEdits()))
    assert event["choices"][0]["logprobs"] is None
    [event] = events(edited("chat", stream_of(one), ToyEdits(changes=False)))
    assert event == one


def test_fields_of_vendors_are_texts_too():
    one = chunk(
        {
            "reasoning_details": [{"index": 0, "type": "reasoning.text", "text": "SEC"}],
            "annotations": [
                {"type": "url_citation", "url_citation": {"title": "SECRET"}},
                "SECRET",
            ],
            "audio": {"id": "SECRET", "data": "SECRET", "transcript": "SEC"},
        }
    )
    one["citations"] = ["SECRET"]
    one["choices"][0]["content_filter"] = {"why": "SECRET"}
    two = chunk(
        {"reasoning_details": [{"index": 0, "text": "RET"}], "audio": {"transcript": "RET"}}
    )
    two["choices"][0]["finish_reason"] = "stop"
    first, second = events(edited("chat", stream_of(one, two), ToyEdits()))
    delta = first["choices"][0]["delta"]
    assert first["citations"] == ["[X]"]
    assert first["choices"][0]["content_filter"] == {"why": "[X]"}
    assert delta["annotations"] == [
        {"type": "url_citation", "url_citation": {"title": "[X]"}},
        "[X]",
    ]
    assert delta["audio"] == {"id": "SECRET", "data": "SECRET", "transcript": ""}
    assert delta["reasoning_details"] == [{"index": 0, "type": "reasoning.text", "text": ""}]
    delta = second["choices"][0]["delta"]
    assert delta == {
        "reasoning_details": [{"index": 0, "text": "[X]"}],
        "audio": {"transcript": "[X]"},
    }


def test_a_text_deep_in_a_delta_is_released_in_its_place():
    one = chunk({"reasoning_details": [{"index": 3, "text": "SEC"}]})
    *_, added = events(edited("chat", stream_of(one), ToyEdits()))
    assert added["choices"][0]["delta"] == {"reasoning_details": [{"index": 3, "text": "SEC"}]}


def test_text_completions_are_events_of_their_format():
    stream = written("completions", [chunk({"content": "a SEC"}), chunk({}, "stop")])
    out = events(edited("completions", stream, ToyEdits()))
    assert {tuple(event) for event in out} == {tuple(event) for event in events(stream)}
    assert [choice["text"] for event in out for choice in event["choices"]] == ["a ", "SEC", ""]


def test_odd_choices_do_no_harm():
    stream = stream_of(
        chunk({}) | {"choices": None},
        chunk({}) | {"choices": [7]},
        chunk({"tool_calls": [7, {"index": 0}]}),
        chunk({}) | {"choices": [{"index": 0, "delta": "odd"}]},
    )
    assert edited("chat", stream, ToyEdits()) == stream


def test_a_choice_that_goes_on_behind_its_end_is_not_judged():
    stream = stream_of(chunk({"content": "a"}), chunk({}, "stop"), chunk({"content": "b"}))
    walk = editor("chat", ToyEdits())
    out = walk.feed(stream)
    assert isinstance(walk.failure, UpstreamBadReply)
    assert said(out)[-1] == (0, {}, "stop")


@pytest.mark.parametrize("place", ["rest", "whole"])
def test_a_blocked_end_leaves_what_came_before(place):
    edits = ToyEdits(blocks=True)
    first = chunk({"content": "ab SEC"})
    last = chunk({"content": "c"}, "stop") | {"citations": ["a SECRET"]}
    stream = stream_of(first, last if place == "whole" else chunk({"content": "RET"}, "stop"))
    out = said(edited("chat", stream, edits))
    assert "".join(delta.get("content", "") for _, delta, _ in out) == (
        "ab SECc" if place == "whole" else "ab "
    )
    assert all(reason is None for _, _, reason in out)
