"""The old text completions: natively, and through the hub."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import openai_contract
from calls import call_for
from gatemill.core.call import Usage
from gatemill.core.errors import (
    InvalidRequest,
    InvalidType,
    InvalidValue,
    MissingParameter,
    UnsupportedParameter,
    UpstreamBadReply,
)
from gatemill.core.ports import Surface
from gatemill.wire import completions, sse

BODY = {"model": "m", "prompt": "Once"}
USAGE = Usage(input=3, output=4)


def head(**fields):
    return call_for(completions, {**BODY, **fields}).head


def translated(**fields):
    call = call_for(completions, {**BODY, **fields})
    chat = completions.to_chat(call.body, call)
    openai_contract.validate("CreateChatCompletionRequest", chat)
    return chat


def test_the_module_is_a_surface():
    surface: Surface = completions
    assert (surface.NAME, surface.FAMILY) == ("completions", "openai")


@pytest.mark.parametrize(
    ("fields", "choices"),
    [
        ({}, 1),
        ({"n": 3}, 3),
        ({"n": 2, "best_of": 5}, 5),
        ({"prompt": ["a", "b"], "n": 2}, 4),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": [[1], [2, 3]]}, 2),
    ],
)
def test_choices_count_every_answer_generated(fields, choices):
    assert head(**fields).choices == choices


def test_the_head_is_read():
    read = head(stream=True, stream_options={"include_usage": True}, max_tokens=0)
    assert (read.model, read.stream, read.wants_usage, read.output_max) == ("m", True, True, 0)
    assert not head(stream=True).wants_usage


@pytest.mark.parametrize(
    ("fields", "kind", "param"),
    [
        ({"prompt": None}, InvalidType, "prompt"),
        ({"prompt": 5}, InvalidType, "prompt"),
        ({"prompt": []}, InvalidValue, "prompt"),
        ({"prompt": [1, "a"]}, InvalidValue, "prompt"),
        ({"prompt": [[]]}, InvalidValue, "prompt.0"),
        ({"max_tokens": -1}, InvalidValue, "max_tokens"),
        ({"n": 129}, InvalidValue, "n"),
        ({"stream": 1}, InvalidType, "stream"),
    ],
)
def test_a_wrong_body_is_refused_with_the_field_at_fault(fields, kind, param):
    with pytest.raises(kind) as caught:
        head(**fields)
    assert caught.value.param == param


def test_model_and_prompt_are_required():
    for name in BODY:
        with pytest.raises(MissingParameter) as caught:
            completions.head(msgspec.json.encode({k: v for k, v in BODY.items() if k != name}))
        assert caught.value.param == name


def test_the_native_body_changes_in_name_and_usage_alone():
    body = b'{"model":"m","prompt":[[1,2]],"stream":true,"echo":true}'
    read = completions.head(body)
    assert completions.native(body, read, "m", stream_usage=False) is body
    asked = msgspec.json.decode(completions.native(body, read, "up", stream_usage=True))
    expected = {**msgspec.json.decode(body), "model": "up"}
    assert asked == {**expected, "stream_options": {"include_usage": True}}


def test_usage_of_a_native_answer_is_read():
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    reply = {"id": "c", "choices": [{"text": "x"}], "usage": usage}
    assert completions.usage(msgspec.json.encode(reply)) == USAGE
    with pytest.raises(UpstreamBadReply, match="200 with an error"):
        completions.usage(b'{"error":{"message":"no"}}')


def native_chunk(text, finish=None, **rest):
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
    chunk = {"id": "c", "object": "text_completion", "created": 1, "model": "up"}
    return sse.event(msgspec.json.encode({**chunk, "choices": [choice], **rest}))


SPENT = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
USAGE_CHUNK = sse.event(msgspec.json.encode({"id": "c", "choices": [], "usage": SPENT}))
CONTENT = native_chunk("Once ") + native_chunk("more") + native_chunk("", "stop")
STREAM = CONTENT + USAGE_CHUNK + sse.DONE


@given(st.lists(st.integers(0, len(STREAM)), max_size=6), st.booleans())
def test_any_cut_of_a_native_stream_gives_the_same_bytes(cuts, wanted):
    passage = completions.passage(head(stream=True, stream_options={"include_usage": wanted}))
    edges = [0, *sorted(cuts), len(STREAM)]
    out = b"".join(passage.feed(STREAM[a:b]) for a, b in pairwise(edges)) + passage.finish()
    assert out == (STREAM if wanted else CONTENT + sse.DONE)
    assert passage.usage == USAGE


def test_a_native_stream_has_begun_with_its_first_text():
    passage = completions.passage(head(stream=True))
    passage.feed(native_chunk(""))
    assert not passage.started
    passage.feed(native_chunk("a"))
    assert passage.started


@pytest.mark.parametrize("prompt", ["Once", ["Once"]])
def test_a_single_prompt_becomes_a_user_message(prompt):
    assert translated(prompt=prompt) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Once"}],
        "max_completion_tokens": 16,
    }


def test_settings_are_carried_and_what_asks_for_nothing_passes():
    same = {"temperature": 0.5, "n": 2, "stop": ["x"], "seed": 1, "logit_bias": {"5": 1}}
    nothing = {"echo": False, "suffix": None, "best_of": 1, "logprobs": None, "unknown": None}
    chat = translated(**same, **nothing, max_tokens=5, stream=True)
    del chat["messages"]
    assert chat == {**same, "model": "m", "max_completion_tokens": 5, "stream": True}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"echo": True}, "echo"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 2}, "best_of"),
        ({"logprobs": 0}, "logprobs"),
        ({"logprobs": 3}, "logprobs"),
        ({"unknown": [1]}, "unknown"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [7]}, "prompt"),
        ({"prompt": [[1]]}, "prompt"),
    ],
)
def test_what_a_chat_model_cannot_do_is_refused_by_name(fields, param):
    with pytest.raises(UnsupportedParameter) as caught:
        translated(**fields)
    assert caught.value.param == param
    assert isinstance(caught.value, InvalidRequest)
    assert f"`{param}`" in caught.value.message


def test_a_hub_answer_becomes_a_completion():
    choices = [
        {"index": 0, "message": {"content": "more"}, "finish_reason": "length"},
        {"index": 1, "message": {"content": None, "refusal": "No."}, "finish_reason": "tool_calls"},
    ]
    completion = {"id": "chatcmpl-1", "created": 17, "model": "up", "choices": choices}
    reply = msgspec.json.decode(
        completions.from_chat(completion, call_for(completions, BODY), USAGE)
    )
    openai_contract.validate("CreateCompletionResponse", reply)
    assert (reply["id"], reply["created"], reply["model"]) == ("cmpl-req1", 17, "up")
    assert [choice["text"] for choice in reply["choices"]] == ["more", "No."]
    assert [choice["finish_reason"] for choice in reply["choices"]] == ["length", "stop"]
    assert reply["usage"]["total_tokens"] == 7


def streamed(usage=USAGE, **fields):
    writer = completions.writer(call_for(completions, {**BODY, "stream": True, **fields}))
    deltas = [{"role": "assistant", "content": ""}, {"content": "Once "}, {"content": "more"}]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    frame = {"id": "chatcmpl-1", "created": 17, "model": "up"}
    out = b"".join(writer.write({**frame, "choices": [choice]}) for choice in choices)
    *events, end = [data for _, data in sse.events(out + writer.finish(usage))]
    assert end == b"[DONE]"
    return [msgspec.json.decode(event) for event in events]


def test_a_hub_stream_becomes_completion_chunks():
    chunks = streamed()
    assert {(chunk["object"], chunk["id"], chunk["model"]) for chunk in chunks} == {
        ("text_completion", "cmpl-req1", "up")
    }
    assert [chunk["choices"][0]["text"] for chunk in chunks] == ["Once ", "more", ""]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, "stop"]
    assert all("usage" not in chunk for chunk in chunks)


def test_the_usage_chunk_comes_when_it_was_asked_for():
    *chunks, last = streamed(stream_options={"include_usage": True})
    assert all(chunk["usage"] is None for chunk in chunks)
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 7)
    assert len(streamed(None, stream_options={"include_usage": True})) == 3


def test_a_stream_without_a_chunk_still_ends():
    fields = {"stream": True, "stream_options": {"include_usage": True}}
    writer = completions.writer(call_for(completions, {**BODY, **fields}))
    [(_, last), (_, end)] = sse.events(writer.finish(USAGE))
    assert msgspec.json.decode(last)["model"] == "m"
    assert end == b"[DONE]"


@pytest.mark.parametrize("answer", [{}, {"choices": 5}, {"choices": [{"message": "x"}]}])
def test_an_answer_of_another_shape_is_the_providers_fault(answer):
    call = call_for(completions, BODY)
    with pytest.raises(UpstreamBadReply):
        completions.from_chat(answer, call, USAGE)
    with pytest.raises(UpstreamBadReply):
        completions.writer(call).write(answer)


@pytest.mark.parametrize(
    ("said", "user"),
    [({}, ""), ({"user": "u"}, "u"), ({"user": "u", "safety_identifier": "s"}, "s")],
)
def test_the_head_names_the_end_user(said, user):
    assert head(**said).user == user


def test_the_end_user_is_carried_to_the_hub():
    call = call_for(completions, {"model": "m", "prompt": "p", "safety_identifier": "s"})
    assert completions.to_chat(call.body, call)["safety_identifier"] == "s"
