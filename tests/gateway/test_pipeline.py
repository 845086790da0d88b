"""The way of a request through all stages, with upstreams that a test plays."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from gatemill.core.call import Key
from gatemill.core.errors import (
    ClientGone,
    DeadlineExceeded,
    Draining,
    GatemillError,
    InvalidApiKey,
    InvalidJson,
    InvalidValue,
    JsonTooDeep,
    MissingParameter,
    ModelNotFound,
    Overloaded,
    UpstreamInterrupted,
    UpstreamUnreachable,
)
from gatemill.core.ports import Incoming
from gateway_parts import SECRET, Stage, asking, route
from playbook import DONE, HELLO, ROLE, STOP, USAGE, Scripted, target
from transports import Remembered

COMPLETION = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "upstream",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}
GOOD = Incoming(200, {}, msgspec.json.encode(COMPLETION))
DOWN = UpstreamUnreachable("no connection")
STREAM = asking(stream=True)


class Waiting:
    """A transport that never answers; it says when it has been asked."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def exchange(self, out, timeouts, deadline_s):
        self.asked.set()
        await asyncio.Event().wait()

    open = exchange

    async def close(self) -> None:
        pass


class Faulty(Waiting):
    """A transport with a bug in it."""

    async def exchange(self, out, timeouts, deadline_s):
        raise ZeroDivisionError("our own fault")

    open = exchange


def with_transport(transport):
    made = target()
    return type(made)(
        **{name: getattr(made, name) for name in made.__struct_fields__} | {"transport": transport}
    )


async def failure(stage: Stage, *asked, **caller) -> GatemillError:
    with pytest.raises(GatemillError) as caught:
        await stage.ask(*asked, **caller)
    return caught.value


def settled(stage: Stage, *errors: str) -> dict:
    """One row for each error ("" = success), the gate is left, and there is one line: this one."""
    assert [row.error for row in stage.rows] == list(errors)
    assert [row.attempt_id for row in stage.rows] == [
        f"req_1-{number}" for number in range(1, len(errors) + 1)
    ]
    assert stage.meter.in_flight == 0
    (line,) = stage.lines
    return line


# --- Answers -------------------------------------------------------------------------------------


async def test_a_complete_answer_is_settled_when_it_is_handed_over():
    stage = Stage(route(target(GOOD)))
    reply = await stage.ask()
    assert reply.body == GOOD.body
    assert reply.stream is None
    assert settled(stage, "")["status"] == 200


@pytest.mark.parametrize("body", [asking(), STREAM])
async def test_targets_are_asked_in_order_until_one_answers(body):
    answer = Scripted(ROLE, HELLO) if body is STREAM else GOOD
    first, second, fallback = target(DOWN), target(DOWN, name="b"), target(answer, name="c")
    stage = Stage(route(first, second, fallbacks=(fallback,)))
    reply = await stage.ask("chat", body)
    assert [tried.target.provider for tried in reply.call.attempts] == ["a", "b", "c"]


async def test_every_failed_try_has_a_row_and_the_request_one_line():
    stage = Stage(route(target(DOWN), target(GOOD, name="b")))
    await stage.ask()
    line = settled(stage, "upstream_unreachable", "")
    assert (line["attempts"], line["status"], line["target"]) == (2, 200, "b/m")


async def test_when_all_targets_fail_the_last_failure_is_the_answer():
    limited = Incoming(429, {}, b"{}")
    stage = Stage(route(target(DOWN, DOWN), target(limited, limited, name="b")))
    error = await failure(stage)
    assert error.code == "upstream_unreachable"
    line = settled(stage, "upstream_unreachable", "rate_limit_exceeded", "upstream_unreachable")
    assert (line["status"], line["error"]) == (502, "upstream_unreachable")


async def test_the_callers_own_patience_shortens_the_deadline_and_never_lengthens_it():
    stage = Stage(route(target(GOOD, GOOD, GOOD)))
    deadlines = [(await stage.ask(timeout_s=seconds)).call.deadline_s for seconds in (5, 500, None)]
    assert deadlines == [5, 100, 100]


async def test_a_request_whose_deadline_has_passed_asks_nobody():
    made = target(GOOD)
    stage = Stage(route(made))
    stage.clock.advance(200)
    assert isinstance(await failure(stage, started_s=50.0), DeadlineExceeded)
    assert made.transport.asked == []
    line = settled(stage)
    assert (line["status"], line["target"], line["cost_microusd"]) == (504, "", 0)


async def test_the_call_carries_what_the_later_stages_need():
    stage = Stage(route(target(GOOD)))
    stage.clock.advance(10)
    reply = await stage.ask(started_s=8.0, headers=(("anthropic-beta", "x"),))
    call = reply.call
    assert (call.id, call.operation, call.started_s) == ("req_1", "chat", 8.0)
    assert call.arrived_at == stage.clock.unix_s() - 2.0
    assert call.headers == (("anthropic-beta", "x"),)
    assert call.key.id == "k1"


# --- Streams -------------------------------------------------------------------------------------


async def test_a_stream_is_settled_at_its_end_with_a_last_comment():
    source = Scripted(ROLE, HELLO)
    stage = Stage(route(target(source)))
    reply = await stage.ask("chat", STREAM)
    sink = Remembered()
    reply.stream.attach(sink)
    assert stage.rows == []
    assert stage.meter.in_flight == 1
    source.say(STOP + USAGE + DONE)
    source.end()
    line = settled(stage, "")
    assert sink.closed == [None]
    assert line["input_tokens"] == 7
    last = sink.parts[-1].splitlines()[-2]
    assert last.startswith(b": gatemill ")
    said = msgspec.json.decode(last.removeprefix(b": gatemill "))
    assert said == {"cost_microusd": None, "request_id": "req_1", "model": "a/m", "attempts": 1}


async def test_a_stream_that_is_over_before_the_door_listens_is_settled_once():
    class Quick(Scripted):
        def attach(self, sink):
            super().attach(sink)
            self.end()

    stage = Stage(route(target(Quick(ROLE, HELLO, STOP, DONE))))
    reply = await stage.ask("chat", STREAM)
    sink = Remembered()
    reply.stream.attach(sink)
    assert sink.closed == [None]
    settled(stage, "")


async def test_a_stream_that_breaks_has_its_failure_in_row_and_line():
    source = Scripted(ROLE, HELLO)
    stage = Stage(route(target(source), target(GOOD, name="b")))
    reply = await stage.ask("chat", STREAM)
    sink = Remembered()
    reply.stream.attach(sink)
    source.end(UpstreamInterrupted("cut"))
    line = settled(stage, "upstream_interrupted")
    assert (line["status"], line["attempts"]) == (502, 1)
    assert [type(error) for error in sink.closed] == [UpstreamInterrupted]
    assert b": gatemill" not in sink.data


@pytest.mark.parametrize("listens", [True, False])
async def test_a_caller_who_hangs_up_within_a_stream_is_settled_once(listens):
    source = Scripted(ROLE, HELLO)
    stage = Stage(route(target(source)))
    reply = await stage.ask("chat", STREAM)
    if listens:
        reply.stream.attach(Remembered())
    reply.stream.abort()
    reply.stream.abort()
    source.end()
    assert settled(stage, "client_closed_request")["status"] == 499
    assert "abort" in source.calls


async def test_a_failure_of_the_door_ends_the_stream_once():
    stage = Stage(route(target(Scripted(ROLE, HELLO))))
    reply = await stage.ask("chat", STREAM)
    reply.stream.attach(Remembered())
    reply.stream.fail(Draining("down"))
    reply.stream.abort()
    settled(stage, "draining")


# --- Cancellation and faults ---------------------------------------------------------------------


@pytest.mark.parametrize("body", [asking(), STREAM])
async def test_a_caller_who_hangs_up_while_the_provider_thinks_is_settled_once(body):
    transport = Waiting()
    stage = Stage(route(with_transport(transport)))
    task = asyncio.ensure_future(stage.ask("chat", body))
    await transport.asked.wait()
    assert stage.meter.in_flight == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert settled(stage, "client_closed_request")["error"] == ClientGone.code


async def test_a_caller_who_hangs_up_before_the_first_content_is_settled_once():
    attached = asyncio.Event()

    class Opening(Scripted):
        def attach(self, sink):
            super().attach(sink)
            attached.set()

    source = Opening(ROLE)
    stage = Stage(route(target(source)))
    task = asyncio.ensure_future(stage.ask("chat", STREAM))
    await attached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    settled(stage, "client_closed_request")
    assert source.calls == ["attach", "abort"]


@pytest.mark.parametrize("body", [asking(), STREAM])
async def test_a_fault_of_our_own_leaves_the_gate_and_is_settled(body):
    stage = Stage(route(with_transport(Faulty()), target(GOOD, name="b")))
    with pytest.raises(ZeroDivisionError):
        await stage.ask("chat", body)
    line = settled(stage, "internal_error")
    assert (line["status"], line["error"]) == (500, "internal_error")
    assert stage.rows[0].status == 500
    assert stage.rows[0].latency_ms >= 0
    assert stage.numbers['errors_total{code="internal_error"}'] == 1


# --- Refusals ------------------------------------------------------------------------------------


def refused(stage: Stage, error: GatemillError) -> dict:
    """Nothing was spent; the refusal is counted and has one line."""
    line = settled(stage)
    assert (line["status"], line["error"]) == (error.status, error.code)
    assert (line["cost_microusd"], line["attempts"], line["target"]) == (0, 0, "")
    seen = stage.numbers
    assert seen[f'errors_total{{code="{error.code}"}}'] == 1
    labels = f'model="",operation="{line["operation"]}",provider="",status="{error.status}"'
    assert seen[f"requests_total{{{labels}}}"] == 1
    assert not [name for name in seen if name.startswith("attempts_total")]
    return line


@pytest.mark.parametrize("secret", [None, b"wrong"])
async def test_who_is_unknown_learns_nothing_else(secret):
    made = target(GOOD)
    stage = Stage(route(made))
    error = await failure(stage, "chat", b"not even JSON", secret=secret)
    assert isinstance(error, InvalidApiKey)
    assert refused(stage, error)["key"] == ""
    assert made.transport.asked == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", InvalidJson),
        (b"{", InvalidJson),
        (b"\xff", InvalidJson),
        (b"{}", MissingParameter),
        (asking(messages=[]), InvalidValue),
        (asking(metadata={"x": "\0"}), InvalidValue),
        (asking(metadata=[[[[[]]]]]), JsonTooDeep),
        (b'{"a":' * 100_000, JsonTooDeep),
    ],
)
async def test_a_malformed_body_spends_nothing(body, kind):
    made = target(GOOD)
    stage = Stage(route(made), depth_max=4)
    error = await failure(stage, "chat", body)
    assert type(error) is kind
    refused(stage, error)
    assert made.transport.asked == []


async def test_an_unknown_model_is_counted_without_its_name():
    stage = Stage(route(target(GOOD)))
    error = await failure(stage, "chat", asking(model="x" * 50))
    assert isinstance(error, ModelNotFound)
    assert refused(stage, error)["key"] == "k1"
    assert not [name for name in stage.numbers if "xxx" in name]


async def test_a_model_out_of_scope_is_refused_like_an_unknown_one():
    stage = Stage(route(target(GOOD)), narrow=Key(id="k2", name="n", models=("other",)))
    error = await failure(stage, secret=b"narrow")
    assert isinstance(error, ModelNotFound)
    assert refused(stage, error)["key"] == "k2"


async def test_a_full_house_refuses_and_does_not_count_who_stayed_outside():
    transport = Waiting()
    stage = Stage(route(with_transport(transport)), in_flight_max=1)
    inside = asyncio.ensure_future(stage.ask())
    await transport.asked.wait()
    error = await failure(stage)
    assert isinstance(error, Overloaded)
    assert stage.meter.in_flight == 1
    assert [line["error"] for line in stage.lines] == ["overloaded"]
    inside.cancel()
    with pytest.raises(asyncio.CancelledError):
        await inside
    assert stage.meter.in_flight == 0


async def test_a_draining_house_refuses_new_requests_and_finishes_its_streams():
    source = Scripted(ROLE, HELLO)
    stage = Stage(route(target(source, GOOD)))
    reply = await stage.ask("chat", STREAM)
    sink = Remembered()
    reply.stream.attach(sink)
    stage.gate.draining = True
    assert isinstance(await failure(stage), Draining)
    source.say(STOP + DONE)
    source.end()
    assert sink.closed == [None]
    assert stage.meter.in_flight == 0
    assert [row.error for row in stage.rows] == [""]


async def test_a_key_is_asked_for_by_every_operation():
    stage = Stage(route(target(GOOD)))
    for operation in stage.gateway.surfaces:
        assert isinstance(await failure(stage, operation, b"{}", secret=None), InvalidApiKey)
        with pytest.raises(GatemillError) as caught:
            await stage.ask(operation, b"{}", secret=SECRET)
        assert caught.value.param == "model"
