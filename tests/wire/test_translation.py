"""A stream between two formats, event by event."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls import call_for
from cuts import cut
from gatemill.core.errors import UpstreamBadReply, UpstreamError, UpstreamInterrupted
from gatemill.providers import openai
from gatemill.wire import chat, responses, sse
from gatemill.wire.translation import Translation
from playbook import DONE, HELLO, ROLE, STOP, USAGE, delta, event

CALL = call_for(
    chat,
    {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    },
)
STREAM = ROLE + HELLO + delta(content=" there") + STOP + USAGE + DONE


def translation() -> Translation:
    return Translation(openai.reader(CALL), chat.writer(CALL))


def translated(pieces: list[bytes]) -> bytes:
    made = translation()
    return b"".join([made.feed(piece) for piece in pieces]) + made.finish()


@given(st.lists(st.integers(0, 10_000)), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_the_output_does_not_depend_on_the_cuts(places, line_end):
    data = STREAM.replace(b"\n", line_end)
    assert translated(cut(data, places)) == translated([STREAM])


def test_the_end_has_usage_and_the_mark():
    *_, usage, mark = [data for _, data in sse.events(translated([STREAM]))]
    assert msgspec.json.decode(usage)["usage"]["total_tokens"] == 10
    assert mark == b"[DONE]"


def test_only_content_begins_a_stream():
    made = translation()
    made.feed(ROLE)
    assert not made.started
    made.feed(HELLO)
    assert made.started
    assert made.usage is None


def test_a_finish_without_content_begins_a_stream():
    made = translation()
    made.feed(STOP)
    assert made.started


def test_a_stream_is_over_with_its_end_mark_because_usage_may_follow_the_finish():
    made = translation()
    made.feed(HELLO + STOP)
    assert not made.is_over
    made.feed(DONE)
    assert made.is_over


def test_a_held_failure_ends_the_stream():
    made = translation()
    made.feed(HELLO + event(error={"code": 500}))
    assert made.is_over
    with pytest.raises(UpstreamError, match="500"):
        made.finish()


@pytest.mark.parametrize("behind", [event(error={"code": 500}), b"data: {oops\n\n"])
def test_what_follows_the_end_mark_in_one_read_is_no_failure(behind):
    assert translated([STREAM + behind]) == translated([STREAM])
    assert translated([STREAM[: -len(DONE)], DONE + behind]) == translated([STREAM])


def test_a_stream_without_its_end_is_an_interruption():
    with pytest.raises(UpstreamInterrupted):
        translated([HELLO])


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [{"index": 0, "delta": None, "finish_reason": None}]},
        {"choices": [{"index": 0}]},
        {"choices": []},
        {"choices": None},
        {},
    ],
)
def test_vendors_chunks_without_a_delta_pass(chunk):
    made = translation()
    made.feed(event(**chunk))
    assert not made.started


@pytest.mark.parametrize(
    "broken",
    [
        b"data: {\n\n",
        b"data: 5\n\n",
        event(choices="x"),
        event(choices=[5]),
        event(choices=[{"delta": 5}]),
        event(choices=[{"index": [1], "delta": {}}]),
        event(choices=[{"index": -1, "delta": {}}]),
        event(choices=[{"delta": {}, "finish_reason": ["stop"]}]),
        event(choices=[{"delta": {"thinking_blocks": ["x"]}}]),
        event(choices=[{"delta": {}, "logprobs": {"content": [{"top_logprobs": 1}]}}]),
        event(choices=[], usage={"prompt_tokens": "many"}),
        event(choices=[], usage=7),
    ],
)
def test_an_event_that_is_no_chunk_is_a_bad_reply(broken):
    with pytest.raises(UpstreamBadReply):
        translation().feed(broken)


def test_an_error_event_is_raised():
    with pytest.raises(UpstreamError):
        translation().feed(event(error={"message": "boom"}))


@given(st.lists(st.integers(0, 10_000)))
def test_what_came_before_a_failure_leaves_first_however_it_is_cut(places):
    stream = translation()
    out = b""
    with pytest.raises(UpstreamError):
        for piece in [*cut(ROLE + HELLO + event(error={"message": "gone"}), places), b""]:
            out += stream.feed(piece)
        stream.finish()
    assert out.count(b"data: ") == 2
    with pytest.raises(UpstreamError):
        stream.finish()


def test_a_token_whose_alternatives_are_null_has_none():
    call = call_for(responses, {"model": "m", "input": "x", "stream": True})
    made = Translation(openai.reader(call), responses.writer(call))
    token = {"token": "a", "logprob": -1.0, "bytes": None, "top_logprobs": None}
    said = {"index": 0, "delta": {"content": "a"}, "logprobs": {"content": [token]}}
    assert b'"top_logprobs":[]' in made.feed(event(choices=[said])) + made.feed(STOP + DONE)
