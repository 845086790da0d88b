"""Which answers may be given again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gatemill.wire.complete import is_complete, is_complete_stream


def event(data: Any, name: str = "") -> bytes:
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + msgspec.json.encode(data) + b"\n\n"


def choice(finish: str | None, index: int = 0, **said: Any) -> dict[str, Any]:
    return {"index": index, "finish_reason": finish, **said}


def chat(*choices: Any) -> dict[str, Any]:
    return {"choices": list(choices)}


def response(status: str, kind: str = "output_text") -> dict[str, Any]:
    thought = {"type": "reasoning", "content": None}
    return {"status": status, "output": [thought, {"content": [{"type": kind}]}]}


WHOLE = [
    ("chat", chat(choice("stop"))),
    ("chat", chat(choice("tool_calls"), choice("stop", 1))),
    ("chat", chat(choice("function_call", message={"refusal": None}))),
    ("completions", chat(choice("stop", text="x"))),
    ("messages", {"stop_reason": "end_turn"}),
    ("messages", {"stop_reason": "tool_use"}),
    ("messages", {"stop_reason": "stop_sequence"}),
    ("responses", response("completed")),
    ("embeddings", {"data": []}),
]
PARTIAL = [
    ("chat", chat()),
    ("chat", chat(choice("length"))),
    ("chat", chat(choice("content_filter"))),
    ("chat", chat(choice(None))),
    ("chat", chat(choice("stop"), choice("length", 1))),
    ("chat", chat(choice("stop", message={"refusal": "No."}))),
    ("chat", {"choices": "odd"}),
    ("completions", chat(choice("length"))),
    ("messages", {"stop_reason": "max_tokens"}),
    ("messages", {"stop_reason": "refusal"}),
    ("messages", {"stop_reason": "pause_turn"}),
    ("messages", {}),
    ("responses", response("incomplete")),
    ("responses", response("failed")),
    ("responses", response("completed", "refusal")),
    ("inference", {"result": "x"}),
    ("count_tokens", {"input_tokens": 1}),
]


@pytest.mark.parametrize(("operation", "body"), WHOLE)
def test_an_answer_that_ended_by_itself_may_be_given_again(operation, body):
    assert is_complete(operation, msgspec.json.encode(body))


@pytest.mark.parametrize(("operation", "body"), PARTIAL)
def test_an_answer_that_was_cut_or_refused_may_not(operation, body):
    assert not is_complete(operation, msgspec.json.encode(body))


@pytest.mark.parametrize("operation", ["chat", "completions", "messages", "responses"])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]"])
def test_bytes_that_are_no_answer_may_not(operation, body):
    assert not is_complete(operation, body)


def test_an_inference_says_elsewhere_why_it_ended():
    assert is_complete("inference", b"{}", "stop")
    assert not is_complete("inference", b"{}", "length")


DONE = b"data: [DONE]\n\n"
SAID = event(chat(choice(None, delta={"content": '"finish_reason":"length"', "refusal": None})))
STOPPED = event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, "message_delta")
BEGUN = event({"type": "message_start", "message": {"stop_reason": None}}, "message_start")
WHOLE_STREAMS = [
    ("chat", 1, SAID + event(chat(choice("stop"))) + event({"choices": [], "usage": {}}) + DONE),
    ("chat", 2, event(chat(choice("stop", 1))) + SAID + event(chat(choice("tool_calls"))) + DONE),
    ("completions", 1, event(chat(choice("stop", text=""))) + DONE),
    ("messages", 1, BEGUN + STOPPED + event({"type": "message_stop"}, "message_stop")),
    (
        "responses",
        1,
        event({"type": "response.created", "response": response("in_progress")})
        + event({"type": "response.completed", "response": response("completed")}),
    ),
]
PARTIAL_STREAMS = [
    ("chat", 1, SAID + DONE),
    ("chat", 1, event(chat(choice("length"))) + DONE),
    ("chat", 2, event(chat(choice("stop"))) + DONE),
    ("chat", 2, event(chat(choice("stop"))) + event(chat(choice("length", 1))) + DONE),
    ("chat", 1, event(chat(choice(None, delta={"refusal": "No"}))) + event(chat(choice("stop")))),
    ("chat", 1, b'data: {"finish_reason"\n\n'),
    ("completions", 1, event(chat(choice("length"))) + DONE),
    ("messages", 1, BEGUN),
    ("messages", 1, BEGUN + event({"delta": {"stop_reason": "max_tokens"}})),
    ("responses", 1, event({"type": "response.incomplete", "response": response("incomplete")})),
    (
        "responses",
        1,
        event({"type": "response.completed", "response": response("completed", "refusal")}),
    ),
    ("responses", 1, event({"type": "x", "text": '"response.completed"'})),
    ("embeddings", 1, DONE),
    ("chat", 1, b""),
]


@pytest.mark.parametrize(("operation", "choices", "events"), WHOLE_STREAMS)
def test_a_stream_that_ended_by_itself_may_be_given_again(operation, choices, events):
    assert is_complete_stream(operation, events, choices)


@pytest.mark.parametrize(("operation", "choices", "events"), PARTIAL_STREAMS)
def test_a_stream_that_was_cut_or_refused_may_not(operation, choices, events):
    assert not is_complete_stream(operation, events, choices)


@pytest.mark.parametrize(
    ("name", "operation", "whole"),
    [
        ("chat_stream_text", "chat", True),
        ("chat_stream_tools", "chat", True),
        ("messages_stream_text", "messages", False),  # max_tokens
        ("messages_stream_tools", "messages", True),
    ],
)
def test_streams_as_we_write_them_are_read(name, operation, whole):
    golden = Path(__file__).parents[1] / "golden" / "anthropic"
    events = (golden / name / "reply.sse").read_bytes()
    assert is_complete_stream(operation, events, 1) is whole
