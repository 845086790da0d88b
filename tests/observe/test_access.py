"""One line for each request: exactly the documented fields, and never a word of a prompt."""

from __future__ import annotations

import re
from contextlib import suppress

import msgspec
import pytest
from msgspec.structs import replace

from gatemill.core.errors import GatemillError, ModelNotFound, UpstreamTimeout
from gatemill.core.ports import Incoming
from gatemill.observe.access import (
    PENDING_MAX,
    RECENT_MAX,
    Access,
    AccessLog,
    as_json,
    as_text,
)
from gateway_parts import PRICE, Kept, Stage, asking, route
from playbook import HELLO, ROLE, Scripted, target
from transports import Remembered

FIELDS = [
    *("ts", "request_id", "status", "operation", "model", "target", "key", "duration_ms"),
    *("ours_ms", "first_token_ms", "attempts", "input_tokens", "output_tokens"),
    *(
        "cost_microusd",
        "stream",
        "error",
        "client_request_id",
        "retries",
        "cache",
        "version",
        "guards",
        "trace_id",
    ),
    *("level", "event"),
]
ANSWER = Incoming(
    200,
    {},
    b'{"choices":[{"message":{"content":"CANARY-answer"}}],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":2}}',
)
LINE = Access(
    ts=1_700_000_000.0,
    request_id="req_1",
    status=200,
    operation="chat",
    model="m",
    target="a/m",
    key="k1",
    duration_ms=12.3,
    ours_ms=0.4,
    first_token_ms=7.0,
    attempts=1,
    input_tokens=5,
    output_tokens=2,
    cost_microusd=9,
    stream=False,
    error="",
)


def shown(**fields) -> str:
    """The line for people, without its colours."""
    return re.sub(r"\x1b\[\d+m", "", as_text([replace(LINE, **fields)]).decode())


# --- JSON ----------------------------------------------------------------------------------------


async def test_a_line_has_exactly_the_documented_fields():
    stage = Stage(route(replace(target(ANSWER), price=PRICE)))
    await stage.ask(client_request_id="mine", retries=1)
    (line,) = stage.lines
    assert list(line) == FIELDS
    assert line == {
        "ts": stage.clock.unix_s(),
        "request_id": "req_1",
        "status": 200,
        "operation": "chat",
        "model": "m",
        "target": "a/m",
        "key": "k1",
        "duration_ms": 0.0,
        "ours_ms": 0.0,
        "first_token_ms": None,
        "attempts": 1,
        "input_tokens": 5,
        "output_tokens": 2,
        "cost_microusd": 9,
        "stream": False,
        "error": "",
        "client_request_id": "mine",
        "retries": 1,
        "cache": "",
        "version": "",
        "guards": [],
        "trace_id": "",
        "level": "info",
        "event": "request",
    }


async def test_no_word_of_a_prompt_an_answer_or_a_secret_is_in_a_line():
    source = Scripted(ROLE, HELLO)
    refusal = Incoming(400, {}, b'{"error":{"message":"CANARY in the refusal"}}')
    stage = Stage(route(target(ANSWER, UpstreamTimeout("late"), source, refusal)))
    said = {"messages": [{"role": "user", "content": "CANARY-prompt"}], "user": "CANARY-user"}
    await stage.ask("chat", asking(**said))
    for body in (asking(**said), asking(**said, stream=True), asking(**said), b'{"CANARY": '):
        with suppress(GatemillError):
            reply = await stage.ask("chat", body, headers=(("x", "CANARY"),))
            reply.stream.attach(Remembered())
            reply.stream.abort()
    assert [line["status"] for line in stage.lines] == [200, 504, 499, 400, 400]
    assert b"CANARY" not in stage.kept.data
    assert b"secret" not in stage.kept.data


def test_as_json_writes_one_object_a_line():
    assert (
        msgspec.json.Decoder().decode_lines(as_json([LINE, LINE]))
        == [msgspec.json.decode(msgspec.json.encode(LINE))] * 2
    )
    assert as_json([LINE, LINE]).endswith(b"\n")


# --- The log -------------------------------------------------------------------------------------


async def test_lines_wait_for_the_flush_and_are_written_once():
    stage = Stage(route(target(ANSWER, ANSWER)))
    await stage.ask()
    assert stage.kept.data == b""
    assert len(stage.lines) == 1
    assert len(stage.lines) == 1
    await stage.ask()
    assert len(stage.lines) == 2


def test_a_flush_of_nothing_writes_nothing():
    class Silent(Kept):
        def write(self, lines):
            raise AssertionError("there was nothing to write")

    AccessLog(Silent(), as_json).flush()


async def test_more_lines_than_the_bound_are_dropped_and_counted():
    stage = Stage(route(target(ANSWER)))
    await stage.ask()
    (seen,) = stage.gateway.access._pending
    counted = []
    log = AccessLog(Kept(), lambda lines: counted.append(len(lines)) or b"")
    for _ in range(PENDING_MAX + 7):
        log.add(seen)
    log.flush()
    assert counted == [PENDING_MAX]
    assert log.dropped == 7
    log.add(seen)
    log.flush()
    assert (counted, log.dropped) == ([PENDING_MAX, 1], 7)
    # The newest stay for whoever follows; older ones made room for them.
    assert (len(log.recent), log.count) == (RECENT_MAX, PENDING_MAX + 1)


# --- For people ----------------------------------------------------------------------------------


def test_people_read_what_was_asked_who_answered_and_what_it_cost():
    text = shown()
    assert text.startswith("22:13:20 200 chat        m -> a/m")
    assert "12 ms (ours 0.4)" in text
    assert "in 5 out 2" in text
    assert "$0.000009" in text
    assert text.endswith("key k1  req_1\n")
    assert "first" not in text
    assert "attempts" not in text


def test_an_unknown_price_is_said():
    assert "price unknown" in shown(cost_microusd=None)


def test_a_stream_says_when_its_first_token_came():
    assert "first 7 ms" in shown(stream=True)


def test_several_attempts_and_an_error_are_said():
    text = shown(attempts=3, error="upstream_timeout", status=504)
    assert "3 attempts" in text
    assert "upstream_timeout" in text


def test_a_refusal_names_no_target_no_cost_and_no_key():
    text = shown(target="", key="", input_tokens=0, output_tokens=0, status=401)
    assert "->" not in text
    assert "$" not in text
    assert "key -" in text


@pytest.mark.parametrize(
    ("status", "colour"), [(200, 32), (399, 32), (400, 33), (499, 33), (500, 31)]
)
def test_the_colour_says_whose_fault_it_was(status, colour):
    assert f"\x1b[{colour}m{status}\x1b[0m".encode() in as_text([replace(LINE, status=status)])


@pytest.mark.parametrize("model", ["\x1b[2J", "a\nb", "a\r\nb", "\x9b2J", "\u202e", "\u2028"])
def test_a_callers_words_cannot_move_the_cursor_or_forge_a_line(model):
    text = shown(model=model)
    assert text[:-1].isprintable()
    assert text.count("\n") == 1


async def test_a_long_model_name_makes_a_short_line():
    stage = Stage()
    with pytest.raises(ModelNotFound):
        await stage.ask("chat", asking(model="x" * 1_000_000))
    (line,) = stage.lines
    assert len(line["model"]) <= 300
