"""Pass-through of native response streams."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.core.call import Head, Usage
from gatemill.core.errors import (
    ContentRefused,
    ContextLengthExceeded,
    UpstreamBadReply,
    UpstreamError,
    UpstreamInterrupted,
    UpstreamOverloaded,
    UpstreamQuotaSpent,
    UpstreamRateLimited,
)
from gatemill.wire import responses
from gatemill.wire.responses.passage import ResponsesPassage


def event(kind, **rest):
    data = msgspec.json.encode({"type": kind, "sequence_number": 0, **rest})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


USAGE = {"input_tokens": 9, "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}}
RESPONSE = {"id": "resp_1", "error": None, "output": []}
CREATED = event("response.created", response=RESPONSE)
ITEM = event("response.output_item.added", output_index=0, item={"type": "message"})
DELTA = event("response.output_text.delta", delta="héllo")
COMPLETED = event("response.completed", response={**RESPONSE, "usage": USAGE})
WHOLE = CREATED + event("response.in_progress", response=RESPONSE) + ITEM + DELTA * 3 + COMPLETED


def failed(code):
    error = {"code": code, "message": "sk-secret"}
    return event("response.failed", response={**RESPONSE, "error": error})


def passed(parts):
    """(output, usage, error) of a stream that arrives in `parts`."""
    passage = ResponsesPassage()
    out = b""
    try:
        for part in parts:
            out += passage.feed(part)
        out += passage.finish()
    except UpstreamError as error:
        return out, passage.usage, type(error)
    return out, passage.usage, None


def test_a_whole_stream_passes_as_it_came_with_its_usage():
    assert passed([WHOLE]) == (WHOLE, Usage(input=9, output=3, reasoning=2), None)


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete"])
def test_a_stream_is_over_with_the_event_that_ends_the_response(kind):
    passage = ResponsesPassage()
    passage.feed(CREATED + DELTA)
    assert not passage.is_over
    passage.feed(event(kind, response=RESPONSE))
    assert passage.is_over


@given(st.lists(st.integers(0, len(WHOLE)), max_size=8))
def test_any_cut_gives_the_same_bytes(cuts):
    edges = [0, *sorted(cuts), len(WHOLE)]
    parts = [WHOLE[a:b] for a, b in pairwise(edges)]
    assert passed(parts) == passed([WHOLE])


@pytest.mark.parametrize("blank", [b"\n", b"\n\n", b"\n\n\n"])
def test_more_blank_lines_than_one_between_events_change_nothing(blank):
    parts = [CREATED + blank, ITEM + DELTA, blank + COMPLETED + blank]
    assert passed(parts) == (b"".join(parts), Usage(input=9, output=3, reasoning=2), None)


BROKEN = CREATED + DELTA + failed("server_error")


@given(st.lists(st.integers(0, len(BROKEN)), max_size=8))
def test_any_cut_of_a_failing_stream_shows_what_came_before_the_failure(cuts):
    edges = [0, *sorted(cuts), len(BROKEN)]
    parts = [BROKEN[a:b] for a, b in pairwise(edges)]
    assert passed(parts) == (CREATED + DELTA, None, UpstreamError)


@pytest.mark.parametrize(
    "kind",
    [
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.reasoning_summary_part.added",
        "keepalive",
    ],
)
def test_lifecycle_is_not_content(kind):
    passage = responses.passage(Head(model="m", stream=True))
    assert passage.feed(event(kind)) == event(kind)
    assert not passage.started


@pytest.mark.parametrize(
    "kind",
    [
        "response.output_text.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.refusal.delta",
        "response.output_item.done",
        "response.completed",
        "response.something_new",
    ],
)
def test_everything_else_is_content(kind):
    passage = ResponsesPassage()
    passage.feed(event(kind))
    assert passage.started


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("server_error", UpstreamError),
        ("unheard_of", UpstreamError),
        ("rate_limit_exceeded", UpstreamRateLimited),
        ("insufficient_quota", UpstreamQuotaSpent),
        ("server_is_overloaded", UpstreamOverloaded),
        ("context_length_exceeded", ContextLengthExceeded),
        ("invalid_prompt", ContentRefused),
    ],
)
@pytest.mark.parametrize(
    "shape",
    [
        failed,
        lambda code: event("error", code=code, message="sk-secret", param=None),
        lambda code: event("error", error={"code": code, "message": "sk-secret"}),
    ],
)
@pytest.mark.parametrize("before", [b"", CREATED, CREATED + DELTA])
def test_a_failure_in_the_stream_is_raised_as_its_kind(code, kind, shape, before):
    passage = ResponsesPassage()
    passage.feed(before)
    with pytest.raises(kind) as caught:
        passage.feed(shape(code))
    assert type(caught.value) is kind
    assert "secret" not in caught.value.message


def test_a_failure_behind_content_in_one_block_is_raised_by_whatever_comes_next():
    for ask in (lambda passage: passage.feed(b""), lambda passage: passage.finish()):
        passage = ResponsesPassage()
        assert passage.feed(CREATED + DELTA + failed("server_error")) == CREATED + DELTA
        assert passage.started
        with pytest.raises(UpstreamError, match="server_error"):
            ask(passage)


@pytest.mark.parametrize("before", [b"", CREATED + DELTA])
def test_the_usage_of_a_failed_response_is_read(before):
    error = {"code": "server_error", "message": "x"}
    last = event("response.failed", response={**RESPONSE, "error": error, "usage": USAGE})
    assert passed([before + last]) == (before, Usage(9, output=3, reasoning=2), UpstreamError)


@pytest.mark.parametrize("behind", [failed("server_error"), b"data: {oops\n\n"])
def test_what_follows_the_end_in_one_read_is_no_failure(behind):
    assert passed([WHOLE + behind]) == (WHOLE, Usage(input=9, output=3, reasoning=2), None)


def test_an_incomplete_response_is_an_end():
    stream = DELTA + event("response.incomplete", response={**RESPONSE, "usage": USAGE})
    assert passed([stream]) == (stream, Usage(input=9, output=3, reasoning=2), None)


@pytest.mark.parametrize("stream", [b"", CREATED, CREATED + DELTA, WHOLE[:-3]])
def test_a_stream_that_just_ends_was_interrupted(stream):
    assert passed([stream])[2] is UpstreamInterrupted


@pytest.mark.parametrize("word", ["response.completed", "response.failed", "error"])
def test_text_that_is_the_name_of_an_event_is_only_text(word):
    passage = ResponsesPassage()
    stream = CREATED + DELTA + event("response.output_text.delta", delta=word)
    assert passage.feed(DELTA) + passage.feed(stream) == DELTA + stream
    with pytest.raises(UpstreamInterrupted):
        passage.finish()


def test_comments_and_a_stray_end_mark_pass():
    stream = b": ping\n\n" + WHOLE + b"data: [DONE]\n\n"
    assert passed([stream])[0] == stream


def test_an_event_that_is_not_json_is_the_providers_fault():
    assert passed([b"data: {oops\n\n"])[2] is UpstreamBadReply
