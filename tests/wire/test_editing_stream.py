"""What an editor does with the bytes of a stream, whatever is in its events."""

from __future__ import annotations

import json

import pytest

from gatemill.core.errors import ContentBlocked, UpstreamBadReply
from gatemill.wire.editing import editor
from toy_edits import ToyEdits


def edited(data):
    walk = editor("chat", ToyEdits())
    out = walk.feed(data)
    assert walk.failure is None
    return out


@pytest.mark.parametrize(
    "data",
    [
        b": a comment\n\n",
        b': gatemill {"cost_microusd": 5, "words": "SECRET"}\n\n',
        b"event: ping\n\n",
        b"data: [DONE]\n\n",
        b"data:[DONE]\n\n",
        b'data: {"id": "SECRET", "choices": []}\n\n',
        b'data:{"id":"c"}\n\n',
        b'data: {"big": 123456789012345678901234567890, "small": 1e-9}\n\n',
    ],
)
def test_what_holds_no_text_keeps_its_bytes(data):
    assert edited(data) == data


@pytest.mark.parametrize(
    ("data", "out"),
    [
        (b'data: {"x": "SECRET"}\n\n', b'data: {"x":"[X]"}\n\n'),
        (b'data:{"x": "SECRET"}\n\n', b'\ndata: {"x":"[X]"}\n\n'),
        (b'id: 7\nevent: e\ndata: {"x": "SECRET"}\nretry: 9\n\n', b'id: 7\nevent: e\nretry: 9\ndata: {"x":"[X]"}\n\n'),
        (b': hi\ndata: {"x":\ndata: "SECRET"}\n\n', b': hi\ndata: {"x":"[X]"}\n\n'),
    ],
)  # fmt: skip
def test_an_event_keeps_all_lines_but_its_data(data, out):
    assert edited(data) == out


def test_an_event_that_is_added_has_a_name_where_others_have():
    walk = editor("chat", ToyEdits())
    walk.feed(b'event: m\ndata: {"choices": [{"delta": {"content": "S"}}]}\n\n')
    assert walk.finish().startswith(b"data: ")  # a chat chunk says no name of its own
    walk = editor("messages", ToyEdits())
    walk.feed(
        b'data: {"type": "content_block_delta", "index": 0,'
        b' "delta": {"type": "text_delta", "text": "S"}}\n\n'
    )
    assert walk.finish().startswith(b"data: ")


def test_a_text_that_is_blocked_at_its_end_leaves_up_to_there():
    edits = ToyEdits()
    walk = editor("chat", edits)
    walk.feed(b'data: {"choices": [{"index": 4, "delta": {"content": "SECR"}}]}\n\n')
    edits.failure = ContentBlocked("late")  # as if the end had shown it
    out = walk.finish()
    assert walk.failure is edits.failure
    [choice] = json.loads(out.removeprefix(b"data: "))["choices"]
    assert (choice["index"], choice["delta"]) == (4, {"content": "SECR"})


@pytest.mark.parametrize("data", [b"{broken", b"[]", b'"SECRET"', b"\xff", b'{"a": NaN}'])
def test_an_event_that_cannot_be_read_ends_the_stream(data):
    walk = editor("chat", ToyEdits())
    before = b'data: {"x":"a"}\n\n'
    assert walk.feed(before + b"data: " + data + b"\n\n" + before) == before
    assert isinstance(walk.failure, UpstreamBadReply)
    assert b"SECRET" not in str(walk.failure).encode()
    assert walk.feed(before) == walk.finish() == b""


def test_a_stream_of_too_many_texts_ends():
    walk = editor("chat", ToyEdits())
    for index in range(1025):
        walk.feed(b'data: {"choices": [{"index": %d, "delta": {"content": "a"}}]}\n\n' % index)
        assert (walk.failure is None) == (index < 1024)
