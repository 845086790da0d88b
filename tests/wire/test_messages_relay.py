import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anthropic_cases import FOLDER
from gatemill.core.call import Head, Usage
from gatemill.core.errors import (
    UpstreamBadReply,
    UpstreamError,
    UpstreamInterrupted,
    UpstreamOverloaded,
)
from gatemill.wire import messages

STREAM = (FOLDER / "chat_stream_tools" / "received.sse").read_bytes()
START = STREAM[: STREAM.index(b"event: content_block_start")]


def relay():
    return messages.passage(Head(model="m", stream=True))


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_cut_of_the_bytes_gives_the_same_bytes_and_usage(cuts):
    edges = sorted({0, *cuts, len(STREAM)})
    one = relay()

    out = b"".join(one.feed(STREAM[a:b]) for a, b in itertools.pairwise(edges))

    assert out + one.finish() == STREAM
    assert one.started
    assert one.usage == Usage(input=25, cache_write=3, cache_read=40, output=77)


def test_content_begins_with_the_first_block_not_with_the_start_or_a_ping():
    one = relay()

    one.feed(START + b'event: ping\ndata: {"type": "ping"}\n\n')
    assert not one.started
    assert one.usage == Usage(input=25, cache_write=3, cache_read=40, output=1)

    one.feed(b'event: content_block_start\ndata: {"type":"content_block_start","index":0}\n\n')
    assert one.started


def test_an_answer_without_any_block_is_complete():
    one = relay()

    one.feed(START + b'data: {"type" : "message_delta", "delta": {}}\n\n')
    one.feed(b'event: message_stop\ndata: {"type" : "message_stop"}\n\n')

    assert one.started
    assert one.finish() == b""


def test_a_stream_that_counts_nothing_tells_no_usage():
    one = relay()
    usage = b'{"input_tokens":0,"output_tokens":0}'
    one.feed(b'data: {"type":"message_start","message":{"usage":%b}}\n\n' % usage)
    one.feed(b'data: {"type":"message_delta","usage":%b}\n\n' % usage)
    one.feed(b'data: {"type":"message_stop"}\n\n')
    assert one.finish() == b""
    assert one.usage is None


def test_a_stream_is_over_with_message_stop():
    one = relay()
    end = STREAM.index(b"event: message_stop")
    one.feed(STREAM[:end])
    assert not one.is_over
    one.feed(STREAM[end:])
    assert one.is_over


def test_what_follows_message_stop_in_one_read_is_no_failure():
    one = relay()
    assert one.feed(STREAM + b"event: error\ndata: {}\n\n") == STREAM
    assert one.finish() == b""


def test_a_held_failure_ends_the_stream():
    one = relay()
    assert one.feed(START + b"event: error\ndata: {}\n\n") == START
    assert one.is_over
    with pytest.raises(UpstreamError):
        one.finish()


def test_a_stream_without_message_stop_was_interrupted():
    one = relay()
    one.feed(STREAM[: STREAM.index(b"event: message_stop")])

    with pytest.raises(UpstreamInterrupted):
        one.finish()


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (
            b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error"}}\n\n',
            UpstreamOverloaded,
        ),
        (b'data: {"type":"error","error":{"type":"api_error","message":"x"}}\n\n', UpstreamError),
        (b"event: error\ndata: sk-ant-secret is wrong\n\n", UpstreamError),
        (b'event:error\ndata: {"error":"boom"}\n\n', UpstreamError),
        (b'event: message_delta\ndata: {"type":"message_delta"\n\n', UpstreamBadReply),
    ],
)
def test_a_failure_inside_the_stream_is_raised_without_its_words(event, kind):
    one = relay()
    one.feed(START)

    with pytest.raises(UpstreamError) as caught:
        one.feed(event)

    assert type(caught.value) is kind
    assert "secret" not in caught.value.message


def spoken(text: str) -> bytes:
    return (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
        b'{"type":"text_delta","text":"%b"}}\n\n' % text.encode()
    )


OVERLOADED = b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error"}}\n\n'


@given(st.lists(st.integers(0, 1000), max_size=5))
def test_what_came_before_a_failure_leaves_first_however_it_is_cut(cuts):
    said = START + spoken("Hello") + spoken("world")
    stream = said + OVERLOADED + spoken("never")
    edges = sorted({0, len(stream), *(at for at in cuts if at < len(stream))})
    one, out = relay(), b""
    with pytest.raises(UpstreamOverloaded):
        for a, b in itertools.pairwise(edges):
            out += one.feed(stream[a:b])
        one.finish()
    assert out == said
    assert one.usage == Usage(input=25, cache_write=3, cache_read=40, output=1)


@pytest.mark.parametrize("blank", [b"\n", b"\n\n"])
def test_more_blank_lines_than_one_between_events_change_nothing(blank):
    one, parts = relay(), [START + blank, blank + spoken("Hello") + blank, STREAM[len(START) :]]
    assert b"".join(map(one.feed, parts)) + one.finish() == b"".join(parts)


def test_an_error_word_inside_content_is_only_text():
    delta = (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
        b'{"type":"text_delta","text":"{\\"type\\":\\"error\\"} event: error message_stop"}}\n\n'
    )
    one = relay()

    assert one.feed(delta) == delta
    with pytest.raises(UpstreamInterrupted):
        one.finish()
