"""A stream that the caller leaves, or that we end: it settles once, and the upstream is dropped."""

from __future__ import annotations

import asyncio

import pytest

from gatemill.core.errors import Draining, GatemillError
from playbook import DONE, HELLO, ROLE, STOP
from relay_play import Stage, flowing
from transports import Remembered

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
