"""One guarded stream: playbooks of what comes, what leaves, and how it is settled."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatemill.core.call import Attempt
from gatemill.core.clock import FakeClock
from gatemill.core.errors import (
    ClientGone,
    ContentBlocked,
    Draining,
    GatemillError,
    GuardUnavailable,
    InternalError,
    UpstreamBadReply,
    UpstreamInterrupted,
)
from gatemill.gateway.guarded import Guarded, Hold
from gatemill.gateway.recording import Recording, Space, replay
from gatemill.upstream.relay import Relay
from gatemill.wire.editing import editor
from gatemill.wire.passage import ChatPassage
from playbook import DONE, HELLO, ROLE, STOP, USAGE, Scripted, delta, target
from toy_edits import ToyEdits
from transports import Remembered

TAIL = b": the end\n\n"
LARGE = 1 << 20
OVER = UpstreamInterrupted("The provider's stream ended before the answer was complete.")


class Stage:
    """A guarded relay with everything around it."""

    def __init__(self, edits: ToyEdits | None, hold: Hold | None) -> None:
        self.source = Scripted(ROLE, HELLO)
        self.attempt = Attempt(target=target(), number=1, started_s=0.0)
        passage = ChatPassage(strip_usage=True)
        self.relay = Relay(self.source, passage, self.attempt, FakeClock().monotonic_s)
        walk = editor("chat", edits) if edits is not None else None
        self.guarded = Guarded(self.relay, walk, hold)
        self.sink = Remembered()
        self.settled: list[GatemillError | None] = []

    def settle(self, error: GatemillError | None) -> bytes:
        self.settled.append(error)
        return TAIL

    def open_door(self) -> None:
        self.guarded.on_end(self.settle)
        self.guarded.attach(self.sink)

    def end(self, *last: bytes) -> None:
        for data in last:
            self.source.say(data)
        self.source.end()


async def flowing(edits: ToyEdits | None = None, hold: Hold | None = None) -> Stage:
    """A stream that has begun and reaches the door."""
    stage = Stage(edits, hold)
    await stage.relay.start()
    stage.open_door()
    return stage


async def passes(events: bytes) -> bytes:
    """A judge who finds nothing."""
    return events


class Thinker:
    """A judge who takes as long as the test likes."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.says: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def __call__(self, events: bytes) -> bytes:
        self.asked.set()
        return await self.says


async def test_texts_are_edited_and_the_tail_comes_last():
    stage = await flowing(ToyEdits())
    stage.end(delta(content=" SEC"), delta(content="RET S"), STOP + USAGE, DONE)
    said = (ROLE, HELLO, delta(content=" "), delta(content="[X] "))
    assert stage.sink.data.startswith(b"".join(said))
    assert stage.sink.data.endswith(STOP + DONE + TAIL)
    assert b'"S"' in stage.sink.data
    assert stage.sink.closed == stage.settled == [None]
    assert stage.guarded.sent_events == stage.sink.data.count(b"\n\n") == 8


async def test_without_an_editor_the_bytes_pass():
    stage = await flowing()
    stage.end(STOP, DONE)
    assert stage.sink.data == ROLE + HELLO + STOP + DONE + TAIL


async def test_a_blocked_stream_stops_its_upstream_and_says_why_at_its_end():
    stage = await flowing(ToyEdits(blocks=True))
    stage.source.say(delta(content=" a SEC"))
    stage.source.say(delta(content="RET b"))
    assert stage.source.calls == ["attach", "abort"]
    assert stage.sink.data == ROLE + HELLO + delta(content=" a ")
    [error] = stage.sink.closed
    assert isinstance(error, ContentBlocked)
    assert stage.settled == [error]
    assert stage.attempt.error == "content_filter"
    stage.guarded.fail(Draining("later"))
    stage.guarded.abort()
    assert stage.settled == stage.sink.closed == [error]


async def test_an_answer_that_had_ended_before_the_door_opened_is_blocked_and_settled_as_blocked():
    stage = Stage(ToyEdits(blocks=True), None)
    await stage.relay.start()
    stage.end(delta(content="a SECRET"), STOP, DONE)
    stage.open_door()
    [error] = stage.settled
    assert isinstance(error, ContentBlocked)
    assert stage.sink.closed == [error]
    assert b"SECRET" not in stage.sink.data
    assert TAIL not in stage.sink.data
    assert stage.attempt.error == ""  # the provider did its part, which is paid for


async def test_a_text_that_is_blocked_by_its_end_is_settled_as_blocked():
    class Late(ToyEdits):
        """Finds what it looks for when it has seen the whole text."""

        def channel(self, *, is_json):
            edit = super().channel(is_json=is_json)
            edit.finish = self.found
            return edit

        def found(self):
            self.failure = ContentBlocked("late")
            return "!"

    stage = await flowing(Late())
    stage.source.say(delta(content="SEC"))
    stage.end(USAGE)
    assert stage.sink.data.endswith(b'"!"},"logprobs":null,"finish_reason":null}]}\n\n')
    assert [type(error) for error in stage.settled] == [ContentBlocked]
    assert stage.sink.closed == stage.settled


async def test_a_failed_stream_ends_as_it_failed_and_what_was_held_stays():
    stage = await flowing(ToyEdits())
    stage.source.say(delta(content="SEC"))
    stage.source.end(OVER)
    assert stage.sink.data == ROLE + HELLO + delta(content="")
    assert stage.sink.closed == stage.settled == [OVER]


async def test_an_event_that_cannot_be_read_counts_against_the_upstream():
    stage = await flowing(ToyEdits())
    stage.source.say(b"data: {broken\n\n")
    assert isinstance(stage.settled[0], UpstreamBadReply)
    assert stage.attempt.error == "upstream_bad_reply"


async def test_a_caller_who_leaves_stops_the_upstream_and_is_settled_once():
    stage = await flowing(ToyEdits())
    stage.guarded.abort()
    stage.guarded.abort()
    assert stage.source.calls == ["attach", "abort"]
    assert [type(error) for error in stage.settled] == [ClientGone]
    assert stage.sink.closed == []


async def test_a_caller_who_leaves_before_the_door_opened_is_settled():
    stage = Stage(ToyEdits(), None)
    await stage.relay.start()
    stage.guarded.on_end(stage.settle)
    stage.guarded.abort()
    assert [type(error) for error in stage.settled] == [ClientGone]


async def test_a_drain_ends_it_with_what_has_come():
    stage = await flowing(ToyEdits())
    stage.guarded.fail(gone := Draining("later"))
    assert stage.sink.data == ROLE + HELLO
    assert stage.sink.closed == stage.settled == [gone]


async def test_a_slow_caller_slows_the_upstream():
    stage = await flowing(ToyEdits())
    stage.guarded.pause()
    stage.guarded.resume()
    assert stage.source.calls == ["attach", "pause", "resume"]


async def test_what_a_listener_of_a_recording_hears_is_guarded():
    events = ROLE + delta(content="a SECRET") + STOP + DONE
    for blocks in (False, True):
        guarded = Guarded(replay(events), editor("chat", ToyEdits(blocks=blocks)), None)
        settled, sink = [], Remembered()

        def settle(error, settled=settled):
            settled.append(error)
            return TAIL

        guarded.on_end(settle)
        guarded.attach(sink)
        assert b"SECRET" not in sink.data
        assert settled == sink.closed
        assert (settled == [None]) is not blocks


async def test_a_blocked_leader_leaves_others_their_stream_and_is_settled_with_it():
    stage = Stage(None, None)
    await stage.relay.start()
    recording = Recording(stage.relay, LARGE, Space(LARGE), lambda whole, error: None)
    leader, other = recording.join(leads=True), recording.join()
    guarded, others = Guarded(leader, editor("chat", ToyEdits(blocks=True)), None), Remembered()
    recording.begin()
    guarded.on_end(stage.settle)
    guarded.attach(stage.sink)
    other.attach(others)
    stage.source.say(delta(content="SECRET"))
    assert isinstance(stage.sink.closed[0], ContentBlocked)
    assert stage.settled == []  # the provider still works, and what it costs is not known
    stage.end(STOP, DONE)
    assert stage.settled == stage.sink.closed
    assert others.data.endswith(DONE)


# --- Held for a judge -------------------------------------------------------------------------------


async def test_nothing_leaves_before_the_judge_has_seen_all_of_it():
    judge = Thinker()
    stage = await flowing(ToyEdits(), Hold(judge, LARGE))
    stage.end(delta(content="a SECRET"), STOP, DONE)
    await judge.asked.wait()
    assert stage.sink.data == b""
    assert stage.settled == []
    judge.says.set_result(b"data: judged\n\n")
    await stage.sink.until(lambda: stage.sink.closed)
    assert stage.sink.data == b"data: judged\n\n" + TAIL
    assert stage.settled == stage.sink.closed == [None]
    assert stage.guarded.sent_events == 2


async def test_the_judge_sees_what_the_editor_left():
    stage = await flowing(ToyEdits(), Hold(passes, LARGE))
    stage.end(delta(content="a SECRET"), STOP, DONE)
    await stage.sink.until(lambda: stage.sink.closed)
    assert stage.sink.data == ROLE + HELLO + delta(content="a [X]") + STOP + DONE + TAIL


@pytest.mark.parametrize("error", [ContentBlocked("no"), GuardUnavailable("away")])
async def test_what_the_judge_refuses_never_leaves(error):
    judge = Thinker()
    judge.says.set_exception(error)
    stage = await flowing(None, Hold(judge, LARGE))
    stage.end(STOP, DONE)
    await stage.sink.until(lambda: stage.sink.closed)
    assert stage.sink.data == b""
    assert stage.sink.closed == stage.settled == [error]


async def test_a_judge_with_a_fault_lets_nothing_out():
    judge = Thinker()
    judge.says.set_exception(ZeroDivisionError())
    stage = await flowing(None, Hold(judge, LARGE))
    stage.end(STOP, DONE)
    await stage.sink.until(lambda: stage.sink.closed)
    assert stage.sink.data == b""
    assert isinstance(stage.sink.closed[0], InternalError)
    assert stage.settled == stage.sink.closed


@pytest.mark.parametrize("edits", [None, ToyEdits()])
async def test_an_answer_too_long_to_be_held_is_refused_and_its_upstream_stopped(edits):
    stage = await flowing(edits, Hold(passes, len(ROLE + HELLO) + 1))
    stage.source.say(delta(content="a"))
    stage.source.say(delta(content="b"))
    assert stage.source.calls == ["attach", "abort"]
    assert stage.sink.data == b""
    assert isinstance(stage.sink.closed[0], ContentBlocked)
    assert stage.settled == stage.sink.closed


async def test_a_rest_that_is_too_much_to_be_held_is_refused():
    stream = replay(delta(content="SEC"))
    guarded = Guarded(stream, editor("chat", ToyEdits()), Hold(passes, len(delta(content=""))))
    settled, sink = [], Remembered()
    guarded.on_end(lambda error: settled.append(error) or TAIL)
    guarded.attach(sink)
    assert sink.data == b""
    assert isinstance(sink.closed[0], ContentBlocked)
    assert settled == sink.closed


async def test_a_stream_with_two_reasons_to_end_has_one():
    stage = await flowing(ToyEdits(blocks=True), Hold(passes, len(ROLE + HELLO)))
    stage.source.say(delta(content="a SECRET"))
    assert "bytes" in str(stage.sink.closed[0])
    assert stage.settled == stage.sink.closed
    stage.guarded.feed(HELLO)  # nobody does
    assert stage.sink.data == b""


@pytest.mark.parametrize("leaves", [True, False])
async def test_whoever_leaves_while_the_judge_thinks_ends_it(leaves):
    judge = Thinker()
    stage = await flowing(None, Hold(judge, LARGE))
    stage.end(STOP, DONE)
    await judge.asked.wait()
    if leaves:
        stage.guarded.abort()
    else:
        stage.guarded.fail(Draining("later"))
    stage.guarded.fail(Draining("again"))
    with pytest.raises(asyncio.CancelledError):
        await judge.says
    assert [type(error) for error in stage.settled] == [ClientGone if leaves else Draining]
    assert stage.sink.closed == ([] if leaves else stage.settled)
    assert stage.sink.data == b""


async def test_a_stream_that_failed_is_not_judged():
    judge = Thinker()
    stage = await flowing(None, Hold(judge, LARGE))
    stage.source.end(OVER)
    assert stage.sink.closed == stage.settled == [OVER]
    assert stage.sink.data == b""
    assert not judge.asked.is_set()


# --- Any order --------------------------------------------------------------------------------------

MOVES = [
    "say",
    "secret",
    "odd",
    "end",
    "fail upstream",
    "abort",
    "fail",
    "pause",
    "resume",
    "attach",
]


@given(moves=st.lists(st.sampled_from(MOVES), max_size=10), blocks=st.booleans())
def test_whatever_happens_it_is_settled_once_and_closed_at_most_once(moves, blocks):
    async def play():
        stage = Stage(ToyEdits(blocks=blocks), None)
        await stage.relay.start()
        stage.guarded.on_end(stage.settle)
        acts = {
            "say": lambda: stage.source.say(delta(content="SEC")),
            "secret": lambda: stage.source.say(delta(content="RET SECRET")),
            "odd": lambda: stage.source.say(b"data: {odd\n\n"),
            "end": lambda: stage.end(STOP, DONE),
            "fail upstream": lambda: stage.source.end(OVER),
            "abort": stage.guarded.abort,
            "fail": lambda: stage.guarded.fail(Draining("later")),
            "pause": stage.guarded.pause,
            "resume": stage.guarded.resume,
        }
        for at, move in enumerate(moves):
            if move in acts:
                acts[move]()
            elif {"abort", "attach"}.isdisjoint(moves[:at]):
                stage.guarded.attach(stage.sink)
        if {"abort", "attach"}.isdisjoint(moves):
            stage.guarded.attach(stage.sink)
        stage.source.end(OVER)
        assert len(stage.settled) == 1
        assert len(stage.sink.closed) == (0 if "abort" in moves and not stage.sink.closed else 1)
        assert stage.sink.closed in ([], stage.settled)
        assert b"SECRET" not in stage.sink.data

    asyncio.run(play())
