"""One answer through the editors of all formats, in any parts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edited_streams import argued, assembled, called, chunk, edited, events, parts, written
from gatemill.wire.editing import editor
from toy_edits import LABEL, WORD, ToyEdits, told


@given(
    operation=st.sampled_from(["chat", "messages", "responses"]),
    thought=parts,
    said=parts,
    first=parts,
    second=parts,
    each=st.integers(1, 9),
)
def test_each_text_is_what_the_whole_of_it_becomes(operation, thought, said, first, second, each):
    chunks = [chunk({"role": "assistant", "content": ""})]
    chunks += [chunk({"reasoning_content": part}) for part in thought]
    chunks += [chunk({"content": part}) for part in said]
    for at, text in enumerate((first, second)):
        chunks.append(chunk(called(at, "", begins=True)))
        chunks += [chunk(called(at, part)) for part in argued("".join(text))]
    chunks.append(chunk({}, "tool_calls"))
    stream = written(operation, chunks)
    out = edited(operation, stream, ToyEdits(), each=each)

    expected = json.dumps(assembled(operation, stream), ensure_ascii=False).replace(WORD, LABEL)
    assert assembled(operation, out) == json.loads(expected)
    assert WORD not in json.dumps(_texts(operation, out))


@given(said=parts, each=st.integers(1, 9))
def test_completions_too(said, each):
    chunks = [chunk({"content": part}) for part in said] + [chunk({}, "stop")]
    stream = written("completions", chunks)
    out = edited("completions", stream, ToyEdits(), each=each)
    assert assembled("completions", out)["choices"][0]["text"] == told("".join(said))


@given(
    operation=st.sampled_from(["chat", "completions", "messages", "responses"]),
    said=parts,
    behind=parts,
    each=st.integers(1, 9),
)
def test_a_blocked_answer_is_told_up_to_the_place_however_it_came(operation, said, behind, each):
    chunks = [chunk({"content": part}) for part in [*said, "SEC", "RET", *behind]]
    stream = written(operation, [*chunks, chunk({}, "stop")])
    edits = ToyEdits(blocks=True)
    out = edited(operation, stream, edits, each=each)
    assert edits.failure is not None
    before, _, _ = "".join([*said, WORD]).partition(WORD)
    assert "".join(_texts(operation, out)) == before
    assert b"[DONE]" not in out
    assert b"message_stop" not in out
    assert b"response.completed" not in out


@pytest.mark.parametrize("operation", ["chat", "completions", "messages", "responses"])
def test_what_nobody_changes_keeps_its_bytes(operation):
    chunks = [chunk({"content": part}) for part in ("Hello", " wörld", "\n")]
    stream = written(operation, [*chunks, chunk({}, "stop")])
    edits = ToyEdits(changes=False)
    walk = editor(operation, edits)
    assert walk.feed(stream) + walk.finish() == stream


def test_an_operation_without_streams_has_no_editor():
    with pytest.raises(KeyError):
        editor("embeddings", ToyEdits())


def _texts(operation, stream):
    """What the deltas of a stream say."""
    out = []
    for event in events(stream):
        if operation in ("chat", "completions"):
            for choice in event["choices"]:
                delta = choice.get("delta", choice)
                out += [delta.get("content") or delta.get("text") or ""]
        elif isinstance(event.get("delta"), str):
            out.append(event["delta"])
        elif event["type"] == "content_block_delta":
            out += [held for name, held in event["delta"].items() if name != "type"]
    return out
