"""Responses in the background: one id, events without gaps, OpenAI's schemas."""

from __future__ import annotations

import msgspec
import pytest

from gatemill.core.errors import InvalidValue
from gatemill.core.job import Problem
from gatemill.wire import sse
from gatemill.wire.responses import background
from gatemill.wire.responses.background import Made
from openai_contract import validate, validate_stream_event

ASKED = {"model": "echo", "input": "hi", "stream": True, "temperature": 0.5, "store": False}
RESULT = {
    "usage": None,
    "id": "resp_theirs",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "model": "echo-1",
    "tools": [],
    "output": [],
    "parallel_tool_calls": True,
    "metadata": {},
    "tool_choice": "auto",
    "temperature": 0.5,
    "top_p": 1.0,
    "store": False,
}


def _made(status="queued", **more):
    return Made("resp_1", ASKED, 1_795_219_200.4, status, **more)


def _read(event):
    ((name, data),) = sse.events(event)
    said = msgspec.json.decode(data)
    assert said["type"] == name
    validate_stream_event(said)
    return said


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (b'{"model":"m","background":true}', True),
        (b'{"model":"m","\\u0062ackground":true}', True),
        (b'{"model":"m","background":false}', False),
        (b'{"model":"m","background":null}', False),
        (b'{"model":"m","input":"\\"background\\""}', False),
        (b'{"model":"m","background":"yes"}', False),
        (b'{"background":true', False),
        (b'[{"background":true}]', False),
        (b'{"\\u0062', False),
    ],
)
def test_only_true_asks_for_the_background(body, asked):
    assert background.is_asked(body) is asked


def test_the_kept_body_stores_nothing_elsewhere():
    body, metadata = background.kept(b'{"model":"m","background":true,"metadata":{"a":"b"}}')
    assert msgspec.json.decode(body) == {"model": "m", "store": False, "metadata": {"a": "b"}}
    assert metadata == b'{"a":"b"}'


@pytest.mark.parametrize("said", [b"null", b"5", b'{"a":1}', b"[]"])
def test_metadata_that_a_job_cannot_carry_stays_in_the_body_only(said):
    body, metadata = background.kept(b'{"background":true,"metadata":%b}' % said)
    assert metadata == b"{}"
    assert b'"metadata":%b' % said in body


def test_what_is_not_to_be_stored_cannot_be_fetched_later():
    with pytest.raises(InvalidValue) as caught:
        background.kept(b'{"background":true,"store":false}')
    assert caught.value.param == "store"
    background.kept(b'{"background":true,"store":true}')


def test_a_response_and_its_job_have_one_name():
    assert background.response_id("job_12ab") == "resp_12ab"
    assert background.job_id("resp_12ab") == "job_12ab"
    assert background.job_id("job_12ab") == background.job_id("") == ""


@pytest.mark.parametrize("status", ["queued", "in_progress", "cancelled"])
def test_a_response_without_an_answer_is_openais(status):
    told = background.told(_made(status))
    validate("Response", told)
    assert (told["id"], told["status"], told["output"]) == ("resp_1", status, [])
    assert (told["background"], told["store"], told["temperature"]) == (True, True, 0.5)


def test_a_complete_response_keeps_what_the_provider_said_but_its_id():
    told = background.told(_made("completed", result=RESULT, finished_at=1_795_219_201.0))
    validate("Response", told)
    assert (told["id"], told["model"], told["created_at"]) == ("resp_1", "echo-1", 1_795_219_200)
    assert (told["completed_at"], told["background"], told["store"]) == (1_795_219_201, True, True)


@pytest.mark.parametrize(
    ("code", "theirs"),
    [
        ("rate_limit_exceeded", "rate_limit_exceeded"),
        ("context_length_exceeded", "invalid_prompt"),
        ("upstream_unreachable", "server_error"),
        ("expired", "server_error"),
    ],
)
def test_a_failure_is_told_in_openais_words(code, theirs):
    told = background.told(_made("failed", problem=Problem(code, "It did not work.")))
    validate("Response", told)
    assert told["error"] == {"code": theirs, "message": "It did not work."}


def test_the_first_events_say_that_it_is_queued():
    created, queued = (_read(background.head_event(_made(), number)) for number in (0, 1))
    assert (created["type"], created["sequence_number"]) == ("response.created", 0)
    assert (queued["type"], queued["sequence_number"]) == ("response.queued", 1)
    assert created["response"]["status"] == "queued"


def test_the_providers_events_follow_with_our_numbers_and_our_id():
    theirs = {"type": "response.created", "sequence_number": 0, "response": RESULT}
    theirs["response"] = {**RESULT, "status": "in_progress"}
    first = _read(background.event(_made("in_progress"), 1, sse.event(msgspec.json.encode(theirs))))
    assert (first["type"], first["sequence_number"]) == ("response.in_progress", 2)
    assert (first["response"]["id"], first["response"]["status"]) == ("resp_1", "in_progress")
    last = {"type": "response.completed", "sequence_number": 7, "response": RESULT}
    ended = _read(background.event(_made("in_progress"), 8, sse.event(msgspec.json.encode(last))))
    assert (ended["type"], ended["sequence_number"]) == ("response.completed", 9)
    assert (ended["response"]["id"], ended["response"]["status"]) == ("resp_1", "completed")


def test_a_delta_keeps_its_text():
    delta = {
        "type": "response.output_text.delta",
        "sequence_number": 5,
        "item_id": "msg_1",
        "output_index": 0,
        "content_index": 0,
        "delta": "hi",
        "logprobs": [],
    }
    said = _read(background.event(_made("in_progress"), 4, sse.event(msgspec.json.encode(delta))))
    assert said == {**delta, "sequence_number": 5}


def test_what_is_no_event_is_left_out():
    assert background.event(_made(), 1, b": a comment\n\n") == b""


def test_a_stream_without_an_end_gets_one():
    failed = _made("failed", problem=Problem("upstream_timeout", "It took too long."))
    said = _read(background.last_event(failed, 3))
    assert (said["type"], said["sequence_number"]) == ("response.failed", 5)
    assert said["response"]["error"]["code"] == "server_error"
    said = _read(background.last_event(_made("cancelled"), 0))
    assert (said["type"], said["code"], said["sequence_number"]) == ("error", "cancelled", 2)


def test_whether_it_streams_is_read_from_the_body():
    assert background.streams(b'{"stream":true}')
    assert not background.streams(b'{"stream":false}')
    assert not background.streams(b"{}")
