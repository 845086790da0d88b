"""OpenAI's streams on their way through: the same bytes, without what the caller did not ask for."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cuts import cut
from gatemill.core.errors import GatemillError, UpstreamBadReply, UpstreamError, UpstreamInterrupted
from gatemill.wire.passage import ChatPassage, in_band_failure
from playbook import DONE, HELLO, ROLE, STOP, USAGE, delta, event

COMMENT = b": still here\n\n"
TOOL = event(
    choices=[
        {
            "index": 0,
            "delta": {"tool_calls": [{"index": 0, "function": {"arguments": '{"error":"x"}'}}]},
            "finish_reason": None,
            "usage": None,
        }
    ]
)
WHOLE = ROLE + COMMENT + HELLO + delta(content='"usage":{ [DONE] "error":') + TOOL + STOP + USAGE
STREAM = WHOLE + DONE


def passed(pieces: list[bytes], *, strip: bool) -> tuple[bytes, ChatPassage]:
    passage = ChatPassage(strip_usage=strip)
    out = b"".join([passage.feed(piece) for piece in pieces])
    return out + passage.finish(), passage


@given(st.lists(st.integers(0, 10_000)), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.booleans())
def test_a_stream_passes_unchanged_however_it_is_cut(places, line_end, strip):
    out, passage = passed(cut(STREAM.replace(b"\n", line_end), places), strip=strip)
    assert out == (STREAM.replace(USAGE, b"") if strip else STREAM)
    assert passage.started
    assert passage.usage is not None
    assert (passage.usage.input, passage.usage.output) == (7, 3)


@pytest.mark.parametrize("with_spaces", [False, True])
def test_usage_and_ends_are_found_with_and_without_spaces(with_spaces):
    text = STREAM
    if with_spaces:
        text = text.replace(b'":', b'": ').replace(b"data: {", b"data:{")
    _, passage = passed([text], strip=True)
    assert passage.usage is not None


@pytest.mark.parametrize(
    "first", [ROLE, COMMENT, event(choices=[]), delta(content=""), delta(role="assistant"), USAGE]
)
def test_what_holds_no_content_does_not_begin_a_stream(first):
    passage = ChatPassage(strip_usage=False)
    assert passage.feed(first) == first
    assert not passage.started


@pytest.mark.parametrize(
    "first",
    [
        HELLO,
        STOP,
        TOOL,
        delta(refusal="No"),
        delta(reasoning_content="Hm"),
        event(choices=[{"index": 0, "text": "Hi", "finish_reason": None}]),
    ],
)
def test_content_of_any_kind_begins_a_stream(first):
    passage = ChatPassage(strip_usage=False)
    passage.feed(first)
    assert passage.started


def test_the_usage_chunk_alone_is_stripped_and_usage_beside_content_stays():
    beside = event(choices=[{"index": 0, "delta": {"content": "x"}}], usage={"prompt_tokens": 1})
    out, passage = passed([HELLO + beside + STOP + USAGE + DONE], strip=True)
    assert out == HELLO + beside + STOP + DONE
    assert passage.usage is not None
    assert passage.usage.input == 7


def test_a_forgotten_end_mark_is_added():
    assert passed([HELLO + STOP], strip=True)[0] == HELLO + STOP + DONE


def test_a_stream_is_over_with_its_end_mark_and_not_before():
    passage = ChatPassage(strip_usage=True)
    passage.feed(HELLO + STOP + USAGE)
    assert not passage.is_over
    passage.feed(DONE)
    assert passage.is_over


def test_a_failure_behind_the_end_mark_in_one_read_is_none():
    out, _ = passed([STREAM + event(error={"code": 500})], strip=False)
    assert out == STREAM


def test_usage_alone_says_that_the_stream_is_complete():
    assert passed([HELLO + USAGE], strip=True)[0] == HELLO + DONE


def test_a_stream_without_its_end_is_an_interruption():
    with pytest.raises(UpstreamInterrupted):
        passed([HELLO, HELLO[:20]], strip=True)


@pytest.mark.parametrize("before", [b"", HELLO])
@pytest.mark.parametrize("broken", [b"data: {\n\n", b"data: []\n\n", b'data: {"choices":"x"}\n\n'])
def test_an_event_that_is_no_chunk_is_a_bad_reply(before, broken):
    passage = ChatPassage(strip_usage=True)
    passage.feed(before)
    if before and b'"choices"' not in broken:
        passage.feed(broken)  # nothing in it has to be read any more
        return
    with pytest.raises(UpstreamBadReply):
        ChatPassage(strip_usage=True).feed(broken)


@pytest.mark.parametrize("before", [b"", HELLO])
@pytest.mark.parametrize(
    "error", [{"message": "sk-secret", "code": "boom"}, {"type": "boom"}, "boom", 5, {"code": 429}]
)
def test_an_error_event_is_raised_without_its_text(before, error):
    passage = ChatPassage(strip_usage=True)
    passage.feed(before)
    with pytest.raises(UpstreamError) as raised:
        passage.feed(event(error=error))
    assert "sk-secret" not in raised.value.message


def test_a_null_error_is_none():
    passage = ChatPassage(strip_usage=True)
    odd = event(error=None, choices=[{"index": 0, "delta": {"content": "x"}}])
    assert passage.feed(odd) == odd


def test_an_unreadable_in_band_error_is_still_one():
    assert isinstance(in_band_failure(b"\xff"), GatemillError)
    assert "no code" in in_band_failure(msgspec.json.encode({"message": "x"})).message


FAILURE = event(error={"message": "gone", "type": "server_error", "code": "boom"})


@given(st.lists(st.integers(0, 10_000)))
def test_what_came_before_a_failure_leaves_first_however_it_is_cut(places):
    passage = ChatPassage(strip_usage=True)
    out = b""
    with pytest.raises(UpstreamError):
        for piece in [*cut(ROLE + HELLO + FAILURE, places), b""]:
            out += passage.feed(piece)
        passage.finish()
    assert out == ROLE + HELLO
    with pytest.raises(UpstreamError):
        passage.finish()
