"""Equal streams under way: one asks, all hear it, and whoever hangs up stops nobody else."""

from __future__ import annotations

import pytest

from gatemill.core.errors import ClientGone, UpstreamInterrupted, UpstreamTimeout
from playbook import DONE, HELLO, STOP
from recall_stage import TAIL, WHOLE, Flowing, Heard, Stage, asking, crowd, results, turn, until


async def test_those_who_wait_hear_the_stream_live_and_so_do_those_who_come_later():
    stage = Stage()
    calls, tasks = await crowd(stage, 3, stream=True)
    for call in calls:
        call.reported = ()
    calls[0].reported = ("seed",)
    source = Flowing(HELLO)
    stage.provider.say(source)
    heard = [Heard(reply.stream).attach() for reply in await results(tasks)]
    late_call = asking(stream=True)
    late = Heard((await stage.hit(late_call)).stream).attach()
    assert late.sink.data == HELLO
    source.say(STOP + DONE)
    source.end()
    assert [each.sink.data for each in (*heard, late)] == [WHOLE + TAIL] * 4
    assert [each.settled for each in (*heard, late)] == [[None]] * 4
    assert [call.cache for call in (*calls, late_call)] == ["miss"] + ["coalesced"] * 3
    assert {call.reported for call in (*calls, late_call)} == {("seed",)}
    await stage.hit(asking(stream=True))


async def test_a_stream_that_fails_before_it_began_has_another_leader():
    stage = Stage()
    _, tasks = await crowd(stage, 3, stream=True)
    stage.provider.say(UpstreamTimeout("slow"))
    await turn()
    source = Flowing(HELLO)
    stage.provider.say(source)
    found = await results(tasks)
    assert isinstance(found[0], UpstreamTimeout)
    heard = [Heard(reply.stream).attach() for reply in found[1:]]
    source.say(STOP + DONE)
    source.end()
    assert [each.sink.data for each in heard] == [WHOLE + TAIL] * 2


async def test_a_stream_that_fails_after_it_began_fails_for_all_who_listen():
    stage = Stage()
    _, tasks = await crowd(stage, 3, stream=True)
    source = Flowing(HELLO)
    stage.provider.say(source)
    heard = [Heard(reply.stream).attach() for reply in await results(tasks)]
    source.end(UpstreamInterrupted("cut"))
    for each in heard:
        assert each.sink.data == HELLO
        assert [error.code for error in each.sink.closed] == ["upstream_interrupted"]
        assert [error.code for error in each.settled] == ["upstream_interrupted"]
    assert not stage.recall._flights
    assert stage.store.entries == 0


async def test_a_leader_who_hangs_up_while_others_listen_stops_nothing():
    stage = Stage()
    _, tasks = await crowd(stage, 2, stream=True)
    source = Flowing(HELLO)
    stage.provider.say(source)
    leader, other = (Heard(reply.stream).attach() for reply in await results(tasks))
    leader.stream.abort()
    assert "abort" not in source.calls
    assert leader.settled == []
    source.say(STOP + DONE)
    source.end()
    assert leader.settled == other.settled == [None]
    assert other.sink.data == WHOLE + TAIL
    await stage.hit(asking(stream=True))


async def test_when_all_who_listen_hang_up_the_upstream_is_told():
    stage = Stage()
    _, tasks = await crowd(stage, 3, stream=True)
    source = Flowing(HELLO)
    stage.provider.say(source)
    heard = [Heard(reply.stream).attach() for reply in await results(tasks)]
    for each in heard:
        each.stream.abort()
    assert source.calls == ["attach", "abort"]
    assert [[error.code for error in each.settled] for each in heard] == [[ClientGone.code]] * 3
    assert not stage.recall._flights
    # The next asks anew.
    await stage.streamed(asking(stream=True))


async def test_a_follower_who_hangs_up_before_it_hears_of_the_stream_leaves_it():
    stage = Stage()
    _, tasks = await crowd(stage, 2, stream=True)
    source = Flowing(HELLO)
    stage.provider.say(source)
    await until(tasks[0].done)
    tasks[1].cancel()
    leader = Heard((await tasks[0]).stream).attach()
    await turn()
    leader.stream.abort()
    assert source.calls == ["attach", "abort"]


async def test_a_stream_that_outgrew_its_record_takes_nobody_else():
    stage = Stage(entry_bytes=len(HELLO))
    first = await stage.begun(asking(stream=True))
    source = Flowing(HELLO, HELLO)
    stage.provider.say(source)
    heard = Heard((await first).stream).attach()
    second = await stage.begun(asking(stream=True))
    assert len(stage.provider.asked) == 2
    third = await stage.begun(asking(stream=True))
    assert len(stage.provider.asked) == 2
    source.say(DONE)
    source.end()
    assert heard.sink.data == HELLO * 2 + DONE + TAIL
    # The end of the first must not land the second, which has taken its place.
    assert len(stage.recall._flights) == 1
    stage.provider.say(UpstreamTimeout("slow"))
    with pytest.raises(UpstreamTimeout):
        await second
    third.cancel()
    await results([third])


async def test_an_empty_stream_ends_for_all():
    stage = Stage()
    _, tasks = await crowd(stage, 2, stream=True)
    source = Flowing()
    stage.provider.say(source)
    heard = [Heard(reply.stream).attach() for reply in await results(tasks)]
    source.end()
    assert [each.sink.data for each in heard] == [TAIL, TAIL]
