"""Playbooks of one stream: what the upstream does, and what the door sees of it."""

from __future__ import annotations

import asyncio

import pytest

from gatemill.core.errors import InternalError, UpstreamBadReply, UpstreamError, UpstreamInterrupted
from gatemill.upstream.relay import HOLD_BYTES_MAX, HOLD_EVENTS_MAX, not_a_stream
from gatemill.wire.passage import ChatPassage
from playbook import DONE, HELLO, ROLE, STOP, USAGE, delta, event
from relay_play import TAIL, Stage, flowing


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


async def test_comments_are_no_events_of_which_each_may_be_a_token():
    comment = b": still thinking\n\n"
    stage = Stage(comment * HOLD_EVENTS_MAX)
    start = await stage.started()
    await asyncio.sleep(0)
    assert not start.done()
    stage.source.say(comment + HELLO + comment + HELLO + comment)
    await start
    stage.open_door()
    stage.relay.abort()
    assert stage.attempt.events == 2


async def test_a_settlement_without_last_words_sends_no_empty_piece():
    stage = Stage(ROLE, HELLO)
    await stage.relay.start()
    stage.relay.on_end(lambda _error: b"")
    stage.relay.attach(stage.sink)
    stage.source.say(STOP + DONE)
    assert stage.sink.parts[-1] == STOP + DONE
    assert stage.sink.closed == [None]


async def test_a_stream_ends_with_its_end_mark_whenever_the_connection_does():
    stage = await flowing()
    stage.source.say(STOP + USAGE)
    assert stage.sink.closed == []
    stage.source.say(DONE)
    assert stage.sink.data == ROLE + HELLO + STOP + DONE + TAIL
    assert stage.sink.closed == stage.settled == [None]
    stage.relay.abort()  # a caller who leaves now has got all of it
    stage.source.say(HELLO)
    stage.source.end(UpstreamInterrupted("late"))
    assert stage.sink.closed == stage.settled == [None]
    assert (stage.attempt.error, stage.attempt.usage.output) == ("", 3)
    assert "abort" not in stage.source.calls  # the connection may be used again


async def test_a_stream_that_ends_before_the_door_is_there_waits_for_it():
    stage = Stage(ROLE + HELLO + STOP + DONE)
    await stage.relay.start()
    stage.open_door()
    assert stage.sink.data == ROLE + HELLO + STOP + DONE + TAIL
    assert stage.sink.closed == stage.settled == [None]


async def test_a_failure_behind_what_is_no_content_lets_another_target_take_over_at_once():
    stage = Stage()
    start = await stage.started()
    stage.source.say(ROLE + event(error={"message": "x", "code": 500}))
    await asyncio.sleep(0)
    assert start.done()
    with pytest.raises(UpstreamError, match="500"):
        await start
    assert "abort" in stage.source.calls


async def test_a_failure_behind_content_in_one_read_is_told_at_once():
    stage = await flowing()
    stage.source.say(HELLO + event(error={"message": "x", "code": 500}))
    assert stage.sink.data == ROLE + HELLO + HELLO
    assert [type(error) for error in stage.sink.closed] == [UpstreamError]
    assert stage.settled == stage.sink.closed
    assert "abort" in stage.source.calls


async def test_what_is_left_behind_the_end_mark_is_read_although_the_caller_was_slow():
    stage = await flowing()
    stage.relay.pause()
    stage.source.say(STOP + DONE)
    assert stage.source.calls[-2:] == ["pause", "resume"]


class Faulty(ChatPassage):
    """A transform with a bug."""

    __slots__ = ("bug_in",)

    def feed(self, data: bytes) -> bytes:
        if self.bug_in == "feed" and data != ROLE + HELLO:
            raise ZeroDivisionError
        return super().feed(data)

    def finish(self) -> bytes:
        raise ZeroDivisionError


@pytest.mark.parametrize("bug_in", ["feed", "finish"])
async def test_a_fault_of_ours_ends_the_stream_and_settles_it_once(bug_in):
    stage = Stage(ROLE + HELLO)
    stage.relay._transform = made = Faulty(strip_usage=True)
    made.bug_in = bug_in
    await stage.relay.start()
    stage.open_door()
    with pytest.raises(ZeroDivisionError):
        stage.source.say(STOP)
        stage.source.end()
    assert [type(error) for error in stage.sink.closed] == [InternalError]
    assert [type(error) for error in stage.settled] == [InternalError]
    assert stage.attempt.error == "internal_error"
    assert "abort" in stage.source.calls


async def test_a_fault_of_ours_before_content_ends_the_attempt():
    stage = Stage(STOP)
    stage.relay._transform = made = Faulty(strip_usage=True)
    made.bug_in = "feed"
    with pytest.raises(ZeroDivisionError):
        await stage.relay.start()
    assert stage.attempt.error == "internal_error"
    assert "abort" in stage.source.calls


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
    assert stage.attempt.events == 0, "nothing was sent"
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
    stage.source.say(USAGE)
    await asyncio.sleep(0)
    assert not start.done()
    stage.source.say(DONE)
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


def test_an_answer_without_a_stream_lets_the_next_target_try():
    assert not_a_stream().falls_back
