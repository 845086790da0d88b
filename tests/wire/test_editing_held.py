"""Texts of whole streams, read and replaced."""

from __future__ import annotations

import pytest

from edited_streams import argued, assembled, called, chunk, events, written
from gatemill.core.errors import UpstreamBadReply
from gatemill.wire.editing.held import Told, retold, told

CHUNKS = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "One "}),
    chunk({"content": "text"}),
    chunk(called(0, "", begins=True)),
    *(chunk(called(0, piece)) for piece in argued("two")),
    chunk({}, "tool_calls"),
]


@pytest.mark.parametrize("operation", ["chat", "messages", "responses"])
def test_each_text_comes_once_and_can_be_replaced(operation):
    stream = written(operation, CHUNKS)
    texts = told(operation, stream)
    assert texts[-2:] == [Told("One text", is_json=False), Told('{"q": "two"}', is_json=True)]

    kept = [text for text, _ in texts[:-2]]
    out = retold(operation, stream, [*kept, "Another", '{"q": "more"}'])
    assert [text for text, _ in told(operation, out)] == [*kept, "Another", '{"q": "more"}']
    whole = str(assembled(operation, out))
    assert "One" not in str(events(out))
    assert "Another" in whole
    assert "more" in whole


@pytest.mark.parametrize("operation", ["chat", "messages", "responses"])
def test_the_same_texts_make_the_same_answer(operation):
    stream = written(operation, CHUNKS)
    out = retold(operation, stream, [text for text, _ in told(operation, stream)])
    assert assembled(operation, out) == assembled(operation, stream)


def test_texts_that_come_at_once_are_among_them():
    stream = written("chat", [chunk({"content": "a"}) | {"citations": ["b"]}, chunk({}, "stop")])
    assert [text for text, _ in told("chat", stream)] == ["a", "b"]
    first, *_ = events(retold("chat", stream, ["A", "B"]))
    assert first["citations"] == ["B"]


def test_events_that_cannot_be_read_are_refused():
    with pytest.raises(UpstreamBadReply):
        told("chat", b"data: {broken\n\n")
