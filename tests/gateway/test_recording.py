"""One stream, many listeners: playbooks of who joins, pauses and leaves, of bounds, and of replays."""

from __future__ import annotations

import pytest

from gatemill.core.errors import ClientGone, Draining, Overloaded, UpstreamInterrupted
from gatemill.gateway.recording import PIECE_BYTES_MAX, Recording, Space, replay
from recording_play import TAIL, Stage, Upstream, code
from transports import Remembered


def test_the_leader_gets_what_the_upstream_says_then_its_tail():
    stage = Stage()
    stage.upstream.say(b"a\n\n")
    stage.leader.attach(stage.sink)
    stage.upstream.say(b"b\n\n")
    stage.upstream.end(last=b"c\n\n")
    assert stage.sink.data == b"a\n\nb\n\nc\n\n" + TAIL
    assert stage.sink.closed == stage.settled["leader"] == stage.upstream.settled == [None]
    assert stage.ended == [(b"a\n\nb\n\nc\n\n", None)]
    assert stage.leader.sent_events == 3
    assert stage.space.bytes == 0


def test_one_who_comes_late_gets_everything_from_the_beginning_and_a_tail_of_its_own():
    stage = Stage()
    stage.leader.attach(stage.sink)
    stage.upstream.say(b"a\n\n")
    stage.upstream.say(b"b\n\n")
    late, sink = stage.joined("late", tail=b": mine\n\n")
    late.attach(sink)
    stage.upstream.end(last=b"c\n\n")
    assert sink.data == b"a\n\nb\n\nc\n\n: mine\n\n"
    assert stage.settled == {"leader": [None], "late": [None]}


def test_a_leader_who_hangs_up_settles_when_the_upstream_ends():
    stage = Stage()
    stage.leader.attach(stage.sink)
    other, sink = stage.joined("other")
    other.attach(sink)
    stage.upstream.say(b"a\n\n")
    stage.leader.abort()
    assert stage.settled["leader"] == []
    assert "abort" not in stage.upstream.calls
    stage.upstream.end(last=b"b\n\n")
    assert stage.settled == {"leader": [None], "other": [None]}
    assert sink.data == b"a\n\nb\n\n" + TAIL
    assert stage.sink.data == b"a\n\n"
    assert stage.ended == [(b"a\n\nb\n\n", None)]


def test_the_upstream_stops_when_the_last_one_leaves_and_both_are_settled():
    stage = Stage()
    stage.leader.attach(stage.sink)
    other, sink = stage.joined("other")
    other.attach(sink)
    stage.leader.abort()
    other.abort()
    assert stage.upstream.calls == ["attach", "abort"]
    assert code(stage.settled["leader"]) == code(stage.settled["other"]) == [ClientGone.code]
    assert [how[0] for how in stage.ended] == [None]
    assert not stage.recording.admits
    assert stage.space.bytes == 0
    other.abort()
    assert len(stage.settled["other"]) == 1


def test_one_of_several_who_leaves_is_settled_as_gone():
    stage = Stage()
    other, sink = stage.joined("other")
    other.attach(sink)
    other.abort()
    assert code(stage.settled["other"]) == [ClientGone.code]
    assert stage.upstream.calls == ["attach"]
    stage.upstream.say(b"a\n\n")
    assert sink.data == b""


def test_a_failure_of_the_upstream_reaches_all_after_what_came():
    stage = Stage()
    stage.leader.attach(stage.sink)
    other, sink = stage.joined("other")
    stage.upstream.say(b"a\n\n")
    stage.upstream.end(UpstreamInterrupted("cut"))
    assert not stage.recording.admits
    other.attach(sink)
    for each in (stage.sink, sink):
        assert each.data == b"a\n\n"
        assert code(each.closed) == ["upstream_interrupted"]
    assert code(stage.settled["leader"]) == code(stage.settled["other"]) == ["upstream_interrupted"]
    assert [how[0] for how in stage.ended] == [None]


def test_a_drain_ends_one_listener_and_with_the_last_the_upstream():
    stage = Stage()
    stage.leader.attach(stage.sink)
    other, sink = stage.joined("other")
    other.attach(sink)
    stage.leader.fail(Draining("bye"))
    assert code(stage.sink.closed) == ["draining"]
    assert stage.settled["leader"] == []
    other.fail(Draining("bye"))
    assert code(sink.closed) == code(stage.settled["other"]) == ["draining"]
    assert code(stage.settled["leader"]) == ["draining"]
    assert stage.upstream.calls[-1] == "fail"


def test_an_end_that_comes_before_the_call_can_settle_settles_it_then():
    stage = Stage()
    recording = Recording(Upstream(), 100, stage.space, lambda *_: None)
    listener = recording.join(leads=True)
    recording.begin()
    recording._stream.end(last=b"a\n\n")
    said = []
    listener.on_end(lambda error: said.append(error) or TAIL)
    sink = Remembered()
    listener.attach(sink)
    assert said == sink.closed == [None]
    assert sink.data == b"a\n\n" + TAIL


def test_one_who_left_before_it_could_settle_settles_then():
    stage = Stage()
    listener = stage.recording.join()
    listener.abort()
    said = []
    listener.on_end(lambda error: said.append(error) or b"")
    assert code(said) == [ClientGone.code]


def test_one_who_attaches_after_leaving_hears_only_that():
    stage = Stage()
    other, sink = stage.joined("other")
    stage.upstream.say(b"a\n\n")
    other.abort()
    other.attach(sink)
    assert sink.parts == []
    assert code(sink.closed) == [ClientGone.code]


def test_a_slow_listener_gets_nothing_while_it_pauses_and_stops_nobody():
    stage = Stage()
    stage.leader.attach(stage.sink)
    slow, sink = stage.joined("slow")
    slow.attach(sink)
    slow.pause()
    for part in (b"a\n\n", b"b\n\n", b"c\n\n"):
        stage.upstream.say(part)
    assert stage.sink.data == b"a\n\nb\n\nc\n\n"
    assert sink.data == b""
    stage.upstream.end()
    assert sink.closed == []
    slow.resume()
    assert sink.data == b"a\n\nb\n\nc\n\n" + TAIL
    assert stage.upstream.calls == ["attach"]


def test_the_upstream_is_paused_only_when_nobody_reads_and_the_record_is_full():
    stage = Stage(bytes_max=10)
    stage.leader.attach(stage.sink)
    stage.leader.pause()
    stage.upstream.say(b"12345678\n\n")
    assert stage.upstream.calls == ["attach"]
    stage.upstream.say(b"9\n\n")
    assert stage.upstream.calls == ["attach", "pause"]
    stage.leader.resume()
    assert stage.upstream.calls == ["attach", "pause", "resume"]
    stage.upstream.end(last=b"x\n\n")
    assert stage.sink.data == b"12345678\n\n9\n\nx\n\n" + TAIL
    assert stage.ended == [(None, None)]
    assert stage.space.overflowed == 1
    assert stage.space.bytes == 0


def test_beyond_its_room_a_recording_admits_nobody_and_forgets_what_all_have():
    stage = Stage(bytes_max=10)
    stage.leader.attach(stage.sink)
    assert stage.recording.admits
    for _ in range(100):
        stage.upstream.say(b"12345678\n\n")
        assert stage.space.bytes <= 10
    assert not stage.recording.admits
    stage.upstream.end()
    assert len(stage.sink.data) == 1000 + len(TAIL)
    assert stage.ended == [(None, None)]


def test_who_falls_further_behind_than_the_record_is_given_up_and_others_go_on():
    stage = Stage(bytes_max=20)
    stage.leader.attach(stage.sink)
    slow, sink = stage.joined("slow")
    slow.attach(sink)
    slow.pause()
    for _ in range(3):
        stage.upstream.say(b"12345678\n\n")
    assert code(sink.closed) == code(stage.settled["slow"]) == [Overloaded.code]
    assert stage.space.given_up == 1
    assert "pause" not in stage.upstream.calls
    stage.upstream.end()
    assert len(stage.sink.data) == 30 + len(TAIL)


def test_all_recordings_together_have_a_bound():
    space = Space(25)
    first, second = (Recording(Upstream(), 100, space, lambda *_: None) for _ in range(2))
    for recording in (first, second):
        recording.join(leads=True)
        recording.begin()
    first.feed(b"12345678\n\n")
    second.feed(b"12345678\n\n")
    assert first.admits
    assert second.admits
    second.feed(b"12345678\n\n")
    assert first.admits
    assert not second.admits


def test_what_comes_after_everybody_has_left_is_dropped():
    stage = Stage()
    stage.leader.abort()
    stage.recording.feed(b"late\n\n")
    stage.recording.close(None)
    assert stage.space.bytes == 0
    assert len(stage.ended) == 1


def test_a_sink_that_goes_on_while_it_is_being_fed_gets_everything_in_order():
    stage = Stage()

    class Hasty(Remembered):
        def feed(self, data: bytes) -> None:
            super().feed(data)
            stage.leader.pause()
            stage.leader.resume()

    sink = Hasty()
    for part in (b"a" * PIECE_BYTES_MAX, b"b\n\n"):
        stage.upstream.say(part)
    stage.leader.resume()
    stage.leader.attach(sink)
    assert sink.parts == [b"a" * PIECE_BYTES_MAX, b"b\n\n"]
    stage.upstream.end()
    assert sink.closed == [None]


def test_a_replay_says_the_same_in_pieces_that_honour_a_pause():
    events = b"".join(b"data: %d\n\n" % i + b"x" * i for i in range(800)) + b"\n\n"
    assert len(events) > 3 * PIECE_BYTES_MAX
    again = replay(events)
    said = []
    again.on_end(lambda error: said.append(error) or TAIL)

    class Slow(Remembered):
        def feed(self, data: bytes) -> None:
            super().feed(data)
            again.pause()

    sink = Slow()
    again.attach(sink)
    assert len(sink.parts) == 1
    while not sink.closed:
        assert said == []
        again.resume()
    assert sink.data == events + TAIL
    assert all(part.endswith(b"\n\n") and len(part) <= PIECE_BYTES_MAX for part in sink.parts)
    assert said == sink.closed == [None]
    assert again.sent_events == events.count(b"\n\n")


def test_a_replay_of_one_event_larger_than_a_piece_is_one_piece():
    event = b"data: " + b"x" * (2 * PIECE_BYTES_MAX) + b"\n\n"
    sink = Remembered()
    replay(event + b"data: y\n\n").attach(sink)
    assert sink.parts == [event, b"data: y\n\n"]


def test_a_replay_whose_caller_leaves_is_settled_as_gone():
    again = replay(b"data: a\n\n")
    said = []
    again.on_end(lambda error: said.append(error) or b"")
    again.abort()
    assert code(said) == [ClientGone.code]


@pytest.mark.parametrize("events", [b"", b"data: no end"])
def test_a_replay_of_odd_bytes_ends(events):
    sink = Remembered()
    replay(events).attach(sink)
    assert sink.data == events
    assert sink.closed == [None]
