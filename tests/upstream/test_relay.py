"""Playbooks of one stream: what the upstream does, and what the door sees of it."""

from __future__ import annotations

import asyncio

import pytest

from gatemill.core.call import Attempt
from gatemill.core.clock import FakeClock
from gatemill.core.errors import (
    Draining,
    GatemillError,
    UpstreamBadReply,
    UpstreamError,
    UpstreamInterrupted,
)
from gatemill.upstream.relay import HOLD_BYTES_MAX, HOLD_EVENTS_MAX, Relay, not_a_stream
from gatemill.wire.passage import ChatPassage
from playbook import DONE, HELLO, ROLE, STOP, USAGE, Scripted, delta, event, target
from transports import Remembered

TAIL = b": the end\n\n"


class Stage:
    """A relay with everything around it."""

    def __init__(self, *at_once: bytes) -> None:
        self.source = Scripted(*at_once)
        self.clock = FakeClock()
        self.attempt = Attempt(target=target(), number=1, started_s=0.0)
        self.relay = Relay(
            self.source, ChatPassage(strip_usage=True), self.attempt, self.clock.monotonic_s
        )
        self.sink = Remembered()
        self.settled: list[GatemillError | None] = []

    def settle(self, error: GatemillError | None) -> bytes:
        self.settled.append(error)
        return TAIL

    async def started(self) -> asyncio.Task[None]:
        task = asyncio.ensure_future(self.relay.start())
        await asyncio.sleep(0)
        return task

    def open_door(self) -> None:
        self.relay.on_end(self.settle)
        self.relay.attach(self.sink)


async def flowing(*more: bytes) -> Stage:
    """A stream that has begun and reaches the door."""
    stage = Stage(ROLE, HELLO, *more)
    await stage.relay.start()
    stage.open_door()
    return stage


async def test_nothing_leaves_before_the_first_content():
    stage = Stage()
    start = await stage.started()
    stage.source.say(ROLE)
    await asyncio.sleep(0)
    assert not start.done()
    stage.source.say(HELLO)
    await start
    stage.open_door()
    assert stage.sink.data == ROLE + HELLO


async def test_a_whole_stream_arrives_with_its_tail_and_settles_once():
    stage = await flowing()
    stage.source.say(STOP)
    stage.source.say(USAGE + DONE)
    stage.source.end()
    assert stage.sink.data == ROLE + HELLO + STOP + DONE + TAIL
    assert stage.sink.closed == stage.settled == [None]
    assert stage.attempt.usage is not None
    assert (stage.attempt.usage.input, stage.attempt.usage.output) == (7, 3)


async def test_the_usage_of_a_late_chunk_replaces_that_of_an_early_one():
    stage = await flowing(event(choices=[], usage={"prompt_tokens": 1, "completion_tokens": 1}))
    stage.source.say(STOP + USAGE + DONE)
    stage.source.end()
    assert stage.attempt.usage is not None
    assert stage.attempt.usage.output == 3


async def test_times_and_events_are_those_of_the_attempt():
    stage = Stage()
    start = await stage.started()
    stage.clock.advance(2)
    stage.source.say(ROLE + HELLO)
    await start
    stage.open_door()
    stage.clock.advance(3)
    stage.source.say(STOP + DONE)
    stage.source.end()
    assert (stage.attempt.first_byte_s, stage.attempt.ended_s) == (2, 5)
    assert stage.attempt.events == stage.relay.sent_events == 4


@pytest.mark.parametrize("error", [UpstreamInterrupted("cut"), UpstreamBadReply("odd")])
async def test_a_failure_before_content_is_raised_and_nothing_is_settled(error):
    stage = Stage()
    start = await stage.started()
    stage.source.say(ROLE)
    stage.source.end(error)
    with pytest.raises(type(error)):
        await start
    assert stage.attempt.error == error.code
    assert stage.settled == []


async def test_an_error_event_before_content_is_raised_and_the_upstream_is_dropped():
    stage = Stage(ROLE, event(error={"message": "boom", "code": "overloaded"}))
    with pytest.raises(UpstreamError, match="overloaded"):
        await stage.relay.start()
    assert "abort" in stage.source.calls


async def test_a_stream_that_ends_before_content_without_a_finish_is_an_interruption():
    stage = Stage()
    start = await stage.started()
    stage.source.end()
    with pytest.raises(UpstreamInterrupted):
        await start


async def test_an_empty_answer_that_is_complete_is_an_answer():
    stage = Stage()
    start = await stage.started()
    stage.source.say(STOP + DONE)
    stage.source.end()
    await start
    stage.open_door()
    assert stage.sink.data == STOP + DONE + TAIL
    assert stage.sink.closed == stage.settled == [None]


async def test_an_answer_that_ends_before_any_content_is_an_answer_when_it_says_so():
    stage = Stage()
    start = await stage.started()
    stage.source.say(USAGE + DONE)
    await asyncio.sleep(0)
    assert not start.done()
    stage.source.end()
    await start
    stage.open_door()
    assert stage.sink.data == DONE + TAIL
    assert stage.sink.closed == stage.settled == [None]


async def test_a_failure_after_content_closes_once_without_a_tail():
    stage = await flowing()
    error = UpstreamInterrupted("cut")
    stage.source.end(error)
    assert stage.sink.data == ROLE + HELLO
    assert stage.sink.closed == stage.settled == [error]
    assert (stage.attempt.status, stage.attempt.error) == (502, "upstream_interrupted")


async def test_an_error_event_after_content_closes_once_and_drops_the_upstream():
    stage = await flowing()
    stage.source.say(delta(content="more") + event(error={"type": "overloaded_error"}))
    assert stage.sink.data.endswith(delta(content="more")), "what came before the failure is kept"
    stage.source.say(event(anything="that follows"))
    (error,) = stage.sink.closed
    assert isinstance(error, UpstreamError)
    assert stage.settled == [error]
    assert stage.source.calls[-1] == "abort"


async def test_a_stream_cut_after_content_without_its_end_is_an_interruption():
    stage = await flowing()
    stage.source.end()
    assert isinstance(stage.sink.closed[0], UpstreamInterrupted)


async def test_what_failed_between_content_and_the_door_is_told_to_the_door():
    stage = Stage(ROLE, HELLO)
    await stage.relay.start()
    error = UpstreamInterrupted("cut")
    stage.source.end(error)
    stage.open_door()
    assert stage.sink.data == ROLE + HELLO
    assert stage.sink.closed == stage.settled == [error]


async def test_what_ended_before_the_door_came_is_given_whole():
    stage = Stage(ROLE, HELLO, STOP + DONE)
    await stage.relay.start()
    stage.source.end()
    stage.open_door()
    assert stage.sink.data == ROLE + HELLO + STOP + DONE + TAIL
    assert stage.sink.closed == stage.settled == [None]


async def test_whatever_the_upstream_says_after_the_end_is_ignored():
    stage = await flowing()
    sink = stage.source.sink
    assert sink is not None
    stage.source.end(UpstreamInterrupted("cut"))
    sink.feed(HELLO)
    sink.close(None)
    assert len(stage.sink.closed) == len(stage.settled) == 1


async def test_the_hold_ends_after_so_many_events():
    stage = Stage()
    start = await stage.started()
    for _ in range(HOLD_EVENTS_MAX - 1):
        stage.source.say(ROLE)
    await asyncio.sleep(0)
    assert not start.done()
    stage.source.say(ROLE)
    await start


async def test_the_hold_ends_after_so_many_bytes():
    stage = Stage()
    start = await stage.started()
    stage.source.say(b": " + b"x" * (HOLD_BYTES_MAX - 5) + b"\n\n")
    await asyncio.sleep(0)
    assert not start.done()
    stage.source.say(b":\n\n")
    await start


async def test_pause_and_resume_reach_the_upstream():
    stage = await flowing()
    stage.relay.pause()
    stage.relay.resume()
    assert stage.source.calls == ["attach", "pause", "resume"]


async def test_an_end_mark_that_the_upstream_forgot_is_added():
    stage = await flowing(STOP)
    stage.source.end()
    assert stage.sink.data == ROLE + HELLO + STOP + DONE + TAIL


# --- The caller leaves ---------------------------------------------------------------------------


async def test_a_caller_who_leaves_before_content_drops_the_upstream():
    stage = Stage(ROLE)
    start = await stage.started()
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert stage.source.calls == ["attach", "abort"]
    assert stage.attempt.error == "client_closed_request"
    assert stage.settled == []


async def test_a_caller_who_leaves_in_the_moment_of_the_first_content_drops_the_upstream():
    stage = Stage()
    start = await stage.started()
    stage.source.say(HELLO)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert stage.source.calls == ["attach", "abort"]


async def test_an_abort_in_the_middle_drops_the_upstream_and_settles_once():
    stage = await flowing()
    stage.relay.abort()
    stage.relay.abort()
    assert [error and error.code for error in stage.settled] == ["client_closed_request"]
    assert stage.source.calls == ["attach", "abort"]
    assert stage.sink.closed == []
    assert (stage.attempt.status, stage.attempt.events) == (499, 2)


async def test_an_abort_before_the_door_is_attached_settles_once():
    stage = Stage(ROLE, HELLO)
    await stage.relay.start()
    stage.relay.on_end(stage.settle)
    stage.relay.abort()
    stage.relay.abort()
    assert [error and error.code for error in stage.settled] == ["client_closed_request"]
    assert stage.source.calls == ["attach", "abort"]


async def test_an_abort_after_the_end_but_before_the_door_settles_as_it_ended():
    stage = Stage(ROLE, HELLO, STOP + DONE)
    await stage.relay.start()
    stage.source.end()
    stage.relay.on_end(stage.settle)
    stage.relay.abort()
    assert stage.settled == [None]


async def test_an_abort_after_the_end_settles_nothing_again():
    stage = await flowing(STOP + DONE)
    stage.source.end()
    stage.relay.abort()
    assert stage.settled == [None]
    assert stage.sink.closed == [None]


async def test_an_abort_from_within_the_last_event_is_no_second_end():
    stage = Stage(ROLE, HELLO)
    await stage.relay.start()

    class Leaving(Remembered):
        def feed(self, data: bytes) -> None:
            super().feed(data)
            if DONE in data:
                stage.relay.abort()

    stage.sink = Leaving()
    stage.open_door()
    stage.source.say(STOP + DONE)
    stage.source.end()
    assert len(stage.settled) == 1
    assert stage.sink.closed == []


# --- We leave ------------------------------------------------------------------------------------


async def test_a_stream_that_is_failed_from_outside_ends_with_that_failure():
    stage = await flowing()
    error = Draining("The server stops.")
    stage.relay.fail(error)
    stage.relay.fail(error)
    assert stage.sink.closed == stage.settled == [error]
    assert stage.source.calls == ["attach", "abort"]
    assert stage.attempt.error == "draining"


async def test_failing_a_stream_after_its_end_does_nothing():
    stage = await flowing(STOP + DONE)
    stage.source.end()
    stage.relay.fail(Draining("The server stops."))
    assert stage.sink.closed == stage.settled == [None]


@pytest.mark.parametrize("leave", ["abort", "fail"])
async def test_whoever_ends_a_stream_before_content_ends_its_start(leave):
    stage = Stage(ROLE)
    start = await stage.started()
    if leave == "abort":
        stage.relay.abort()
    else:
        stage.relay.fail(Draining("The server stops."))
    with pytest.raises(GatemillError):
        await start
    assert stage.source.calls == ["attach", "abort"]


def test_an_answer_without_a_stream_lets_the_next_target_try():
    assert not_a_stream().falls_back
