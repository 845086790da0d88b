import msgspec
import pytest
from anthropic.types import RawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from anthropic_cases import bare_call
from gatemill.core.call import Usage
from gatemill.core.errors import UpstreamBadReply
from gatemill.wire import messages, sse

EVENT = TypeAdapter(RawMessageStreamEvent)


def chunk(finish=None, index=0, **delta):
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-7", "model": "m", "choices": [choice]}


def piece(index, arguments=None, id_=None, name=None):
    function = {"name": name, "arguments": arguments}
    return {"index": index, "id": id_, "function": function}


def compose(chunks, usage=None) -> list[dict]:
    writer = messages.writer(bare_call(stream=True))
    out = b"".join(map(writer.write, chunks)) + writer.finish(usage)
    made = []
    for name, data in sse.events(out):
        assert EVENT.validate_json(data, strict=True).type == name
        made.append(msgspec.json.decode(data))
    return made


def replay(made) -> tuple[list[dict], dict]:
    """The content and the last delta, as a client of Anthropic puts them together."""
    assert made[0]["type"] == "message_start"
    assert [event["type"] for event in made[-2:]] == ["message_delta", "message_stop"]
    blocks, open_ = [], None
    for event in made[1:-2]:
        if event["type"] == "content_block_start":
            assert open_ is None
            open_ = event["index"]
            assert open_ == len(blocks)
            blocks.append({**event["content_block"], "json": ""})
            continue
        assert event["index"] == open_
        if event["type"] == "content_block_stop":
            open_ = None
            continue
        delta = {**event["delta"]}
        delta.pop("type")
        ((field, value),) = delta.items()
        field = "json" if field == "partial_json" else field
        blocks[open_][field] += value
    assert open_ is None
    for block in blocks:
        arguments = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = msgspec.json.decode(arguments or "{}")
    return blocks, made[-2]


def test_usage_and_stop_reason_come_with_the_last_delta():
    made = compose([chunk(content="a"), chunk("stop")], Usage(input=3, cache_read=4, output=5))

    _, last = replay(made)

    assert last["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert last["usage"]["input_tokens"] == 3
    assert last["usage"]["cache_read_input_tokens"] == 4
    assert last["usage"]["output_tokens"] == 5


def test_an_answer_without_content_is_still_a_message():
    blocks, last = replay(compose([]))

    assert blocks == []
    assert last["usage"] == {"input_tokens": 0, "output_tokens": 0}


def test_the_signature_closes_the_thinking_that_was_streamed():
    signed = {"type": "thinking", "thinking": "Hm.", "signature": "s1"}
    hidden = {"type": "redacted_thinking", "data": "r"}
    alone = {"type": "thinking", "thinking": "", "signature": "s2"}

    blocks, _ = replay(
        compose(
            [
                chunk(reasoning_content="Hm"),
                chunk(reasoning_content="."),
                chunk(thinking_blocks=[signed]),
                chunk(thinking_blocks=[hidden, alone]),
                chunk(reasoning="more"),
                chunk("stop", content="4"),
            ]
        )
    )

    more = {"type": "thinking", "thinking": "more", "signature": ""}
    assert blocks == [signed, hidden, alone, more, {"type": "text", "text": "4"}]


def test_a_call_is_sent_live_until_another_one_interleaves():
    writer = messages.writer(bare_call(stream=True))
    writer.write(chunk(tool_calls=[piece(0, "", "a", "f")]))

    assert b"input_json_delta" in writer.write(chunk(tool_calls=[piece(0, '{"x"')]))
    assert writer.write(chunk(tool_calls=[piece(1, "{}", "b", "g")])) == b""
    released = writer.write(chunk(tool_calls=[piece(0, ":1}")]))

    assert released.count(b"content_block_start\n") == 1
    assert b'"name":"g"' in released


def test_text_after_an_unfinished_call_waits_for_it():
    blocks, last = replay(
        compose(
            [
                chunk(tool_calls=[piece(0, "{", "a", "f")]),
                chunk(content="By the way"),
                chunk("stop", tool_calls=[piece(0, "}")]),
            ]
        )
    )

    assert [block["type"] for block in blocks] == ["tool_use", "text"]
    assert last["delta"]["stop_reason"] == "tool_use"


def test_a_refusal_is_text_with_its_own_stop_reason():
    blocks, last = replay(compose([chunk(refusal="No."), chunk("stop")]))

    assert blocks == [{"type": "text", "text": "No."}]
    assert last["delta"]["stop_reason"] == "refusal"


def test_a_name_that_comes_late_is_waited_for_and_a_missing_id_is_made():
    blocks, _ = replay(
        compose([chunk(tool_calls=[piece(0, "{}")]), chunk(tool_calls=[piece(0, None, None, "f")])])
    )

    assert blocks == [{"type": "tool_use", "id": "toolu_7_0", "name": "f", "input": {}}]


def test_a_call_without_a_name_is_a_bad_reply():
    with pytest.raises(UpstreamBadReply):
        compose([chunk("tool_calls", tool_calls=[piece(0, "{}", "a")])])


def test_what_a_vendor_sends_for_a_closed_call_changes_nothing():
    call = chunk("tool_calls", tool_calls=[piece(0, "{}", "a", "f")])

    blocks, _ = replay(compose([call, chunk(tool_calls=[piece(0, "\n")])]))

    assert blocks == [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]


def test_other_choices_and_chunks_without_choices_say_nothing():
    blocks, _ = replay(compose([chunk(content="a"), chunk(content="b", index=1), {"choices": []}]))

    assert blocks == [{"type": "text", "text": "a"}]


@settings(deadline=None)  # a busy machine is no failure
@given(st.data())
def test_calls_interleaved_in_any_order_arrive_whole(data):
    inputs = data.draw(
        st.lists(
            st.dictionaries(st.text("ab{}", max_size=3), st.integers()), min_size=1, max_size=4
        )
    )
    queues = []
    for number, given_input in enumerate(inputs):
        text = msgspec.json.encode(given_input).decode()
        cut = data.draw(st.integers(0, len(text)))
        opener = piece(number, "", f"id{number}", f"f{number}")
        queues.append([opener, piece(number, text[:cut]), piece(number, text[cut:])])
    chunks = []
    while queues:
        queue = data.draw(st.sampled_from(queues))
        chunks.append(chunk(tool_calls=[queue.pop(0)]))
        if not queue:
            queues.remove(queue)

    blocks, last = replay(compose([*chunks, chunk("tool_calls")]))

    assert {block["name"]: block["input"] for block in blocks} == {
        f"f{number}": given_input for number, given_input in enumerate(inputs)
    }
    assert last["delta"]["stop_reason"] == "tool_use"
