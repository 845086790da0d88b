import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anthropic_cases import FOLDER, bare_call, call_for
from gatemill.core.call import Usage
from gatemill.core.errors import (
    UpstreamBadReply,
    UpstreamError,
    UpstreamInterrupted,
    UpstreamOverloaded,
    UpstreamRateLimited,
)
from gatemill.providers import anthropic
from gatemill.wire import chat
from gatemill.wire.translation import Translation

STREAM = (FOLDER / "chat_stream_tools" / "received.sse").read_bytes()
REQUEST = (FOLDER / "chat_stream_tools" / "request.json").read_bytes()
REPLY = (FOLDER / "chat_stream_tools" / "reply.sse").read_bytes()


def event(kind, **parts) -> tuple[str, bytes]:
    return kind, msgspec.json.encode({"type": kind, **parts})


def block(index, **content) -> tuple[str, bytes]:
    return event("content_block_start", index=index, content_block=content)


def delta(index, kind, **parts) -> tuple[str, bytes]:
    return event("content_block_delta", index=index, delta={"type": kind, **parts})


def deltas(*events) -> list[dict]:
    reader = anthropic.reader(bare_call(stream=True))
    return [chunk["choices"][0]["delta"] for one in events for chunk in reader.read(one[0], one[1])]


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_cut_of_the_bytes_gives_the_same_chunks(cuts):
    edges = sorted({0, *cuts, len(STREAM)})
    call = call_for(chat, REQUEST)
    one = Translation(anthropic.reader(call), chat.writer(call))

    out = b"".join(one.feed(STREAM[a:b]) for a, b in itertools.pairwise(edges))

    assert out + one.finish() == REPLY
    assert one.usage == Usage(input=25, cache_write=3, cache_read=40, output=77)


def test_a_count_that_is_written_in_another_way_loses_no_stream():
    reader = anthropic.reader(bare_call(stream=True))
    reader.read(*event("message_delta", usage={"input_tokens": 7.0, "output_tokens": "3"}))
    assert reader.usage == Usage(input=7, output=3)


def test_all_chunks_share_id_time_and_model():
    call = call_for(chat, REQUEST)
    one = Translation(anthropic.reader(call), chat.writer(call))
    lines = one.feed(STREAM).split(b"\n\n")[:-1]
    chunks = [msgspec.json.decode(line.removeprefix(b"data: ")) for line in lines]

    assert {(c["id"], c["created"], c["model"]) for c in chunks} == {
        ("chatcmpl-01Str", 1_700_000_000, "claude-opus-5")
    }
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"


def test_the_start_is_not_content_yet():
    call = call_for(chat, REQUEST)
    one = Translation(anthropic.reader(call), chat.writer(call))

    first = STREAM.index(b"event: content_block_start")
    one.feed(STREAM[:first])
    assert not one.started
    one.feed(STREAM[first:])
    assert one.started


def test_a_stream_without_message_stop_was_interrupted():
    call = call_for(chat, REQUEST)
    one = Translation(anthropic.reader(call), chat.writer(call))
    one.feed(STREAM[: STREAM.index(b"event: message_stop")])

    with pytest.raises(UpstreamInterrupted):
        one.finish()


def test_what_a_block_holds_at_its_start_is_not_lost():
    tool = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}

    made = deltas(
        block(0, type="thinking", thinking="Hm", signature="s"),
        event("content_block_stop", index=0),
        block(1, type="text", text="Hi"),
        event("content_block_stop", index=1),
        block(2, **tool),
        event("content_block_stop", index=2),
    )

    opener = {"name": "f", "arguments": ""}
    assert made == [
        {"reasoning_content": "Hm"},
        {"thinking_blocks": [{"type": "thinking", "thinking": "Hm", "signature": "s"}]},
        {"content": "Hi"},
        {"tool_calls": [{"index": 0, "id": "t", "type": "function", "function": opener}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]},
    ]


def test_what_chat_cannot_show_is_passed_over():
    made = deltas(
        event("ping"),
        event("brand_new"),
        event("message_start"),
        event("content_block_start", index=0),
        event("content_block_stop", index=7),
        block(1, type="server_tool_use", id="s", name="web_search"),
        delta(1, "input_json_delta", partial_json="{}"),
        delta(1, "thinking_delta", thinking=""),
        delta(1, "text_delta", text=""),
        event("content_block_stop", index=1),
        event("message_delta", delta={}),
    )

    assert made == []


def test_a_refusal_comes_with_its_explanation():
    reader = anthropic.reader(bare_call(stream=True))
    details = {"type": "refusal", "explanation": "Harmful."}
    stop = event("message_delta", delta={"stop_reason": "refusal", "stop_details": details})

    chunks = [*reader.read(*stop), *reader.read(*stop), *reader.read(*event("message_stop"))]

    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [{"refusal": "Harmful."}, {}]
    assert chunks[-1]["choices"][0]["finish_reason"] == "content_filter"


def test_an_end_without_a_reason_is_a_regular_end():
    reader = anthropic.reader(bare_call(stream=True))

    (last,) = reader.read(*event("message_stop"))

    assert last["choices"][0]["finish_reason"] == "stop"
    assert reader.finished
    assert reader.is_over


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("error", b'{"type":"error","error":{"type":"overloaded_error"}}', UpstreamOverloaded),
        ("", b'{"type":"error","error":{"type":"rate_limit_error"}}', UpstreamRateLimited),
        ("error", b"sk-ant-secret", UpstreamError),
        ("message_start", b"{", UpstreamBadReply),
        ("message_delta", b'{"usage":{"output_tokens":-1}}', UpstreamBadReply),
        (*delta(5, "text_delta", text="x"), UpstreamBadReply),
    ],
)
def test_a_failure_inside_the_stream_is_raised_without_its_words(name, data, kind):
    reader = anthropic.reader(bare_call(stream=True))

    with pytest.raises(UpstreamError) as caught:
        reader.read(name, data)

    assert type(caught.value) is kind
    assert "secret" not in caught.value.message
