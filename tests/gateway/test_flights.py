"""Equal calls under way: one asks. Every way in which the one who asks may fail the others."""

from __future__ import annotations

import asyncio

import pytest

from gatemill.core.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidValue,
    PriceUnknown,
    RateLimited,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from recall_stage import MANY, Stage, asking, body, crowd, results, turn, until


async def test_a_hundred_equal_calls_ask_once():
    stage = Stage()
    calls, tasks = await crowd(stage)
    stage.provider.say(body("same"))
    replies = await results(tasks)
    assert {reply.body for reply in replies} == {body("same")}
    assert [reply.call for reply in replies] == calls
    assert [call.cache for call in calls] == ["miss"] + ["coalesced"] * (MANY - 1)
    assert len(stage.provider.asked) == 1
    assert stage.recall.coalesced == MANY - 1
    assert not stage.recall._flights


async def test_an_answer_that_is_not_kept_is_still_shared_by_those_who_waited():
    stage = Stage()
    _, tasks = await crowd(stage, 3)
    stage.provider.say(body(finish="length"))
    assert [reply.body for reply in await results(tasks)] == [body(finish="length")] * 3
    await stage.answered(asking())


async def test_other_questions_and_callers_with_other_means_ask_themselves():
    stage = Stage()
    await stage.begun(asking())
    poor = asking()
    poor.output_cap = 5
    for call in (asking("Other"), asking(stream=True), asking(temperature=1), poor):
        await stage.begun(call)
    assert len(stage.provider.asked) == 5


async def test_when_the_leader_fails_exactly_one_takes_over_each_time():
    stage = Stage()
    calls, tasks = await crowd(stage, 5)
    for asked in range(1, 5):
        assert len(stage.provider.asked) == asked
        stage.provider.say(UpstreamTimeout("slow"))
        await turn()
    stage.provider.say(body("at last"))
    found = await results(tasks)
    assert [type(one) for one in found[:4]] == [UpstreamTimeout] * 4
    assert found[4].body == body("at last")
    assert calls[4].cache == "miss"
    assert not stage.recall._flights


async def test_whoever_waits_behind_a_failed_leader_gets_the_next_ones_answer():
    stage = Stage()
    calls, tasks = await crowd(stage, 10)
    stage.provider.say(UpstreamRateLimited("busy"))
    await turn()
    assert len(stage.provider.asked) == 2
    stage.provider.say(body())
    found = await results(tasks)
    assert isinstance(found[0], UpstreamRateLimited)
    assert [reply.body for reply in found[1:]] == [body()] * 9
    assert [call.cache for call in calls[1:]] == ["miss"] + ["coalesced"] * 8


async def test_a_mistake_in_the_question_is_everybodys():
    stage = Stage()
    _, tasks = await crowd(stage, 10)
    stage.provider.say(InvalidValue("`n`: too many.", param="n", retry_after_s=3))
    found = await results(tasks)
    assert all(type(one) is InvalidValue for one in found)
    assert {(one.message, one.param, one.retry_after_s) for one in found} == {
        ("`n`: too many.", "n", 3)
    }
    assert len({id(one) for one in found}) == 10
    assert len(stage.provider.asked) == 1
    assert not stage.recall._flights


@pytest.mark.parametrize("error", [RateLimited("yours"), PriceUnknown("yours"), InternalError("x")])
async def test_what_is_wrong_with_the_leader_alone_is_not_told_to_others(error):
    stage = Stage()
    _, tasks = await crowd(stage, 3)
    stage.provider.say(error)
    await turn()
    assert len(stage.provider.asked) == 2
    stage.provider.say(body())
    found = await results(tasks)
    assert type(found[0]) is type(error)
    assert [reply.body for reply in found[1:]] == [body()] * 2


async def test_a_leader_who_hangs_up_before_the_answer_hands_over():
    stage = Stage()
    _, tasks = await crowd(stage, 3)
    tasks[0].cancel()
    await turn()
    assert stage.provider.cancelled == 1
    assert len(stage.provider.asked) == 2
    stage.provider.say(body())
    found = await results(tasks)
    assert isinstance(found[0], asyncio.CancelledError)
    assert [reply.body for reply in found[1:]] == [body()] * 2


async def test_a_fault_of_ours_in_the_leader_hands_over():
    stage = Stage()
    _, tasks = await crowd(stage, 2)
    stage.provider.asked[0][1].set_exception(ZeroDivisionError())
    await turn()
    stage.provider.say(body())
    found = await results(tasks)
    assert isinstance(found[0], ZeroDivisionError)
    assert found[1].body == body()


async def test_all_hang_up_and_nothing_is_left():
    stage = Stage()
    _, tasks = await crowd(stage, 5)
    for task in reversed(tasks):
        task.cancel()
    await results(tasks)
    assert len(stage.provider.asked) == 1
    assert not stage.recall._flights


async def test_the_one_chosen_to_lead_hangs_up_in_that_moment_and_the_next_leads():
    stage = Stage()
    _, tasks = await crowd(stage, 4)
    stage.provider.say(UpstreamTimeout("slow"))
    await until(tasks[0].done)
    # The second has been chosen and has not run yet.
    assert len(stage.provider.asked) == 1
    tasks[1].cancel()
    await turn()
    assert len(stage.provider.asked) == 2
    stage.provider.say(body())
    found = await results(tasks)
    assert isinstance(found[1], asyncio.CancelledError)
    assert [reply.body for reply in found[2:]] == [body()] * 2
    assert not stage.recall._flights


async def test_nobody_waits_beyond_its_own_deadline():
    stage = Stage()
    await stage.begun(asking())
    hasty = asking()
    hasty.deadline_s = 0.01
    with pytest.raises(DeadlineExceeded):
        await asyncio.wait_for(stage.ask(hasty), 60)
    patient = await stage.begun(asking())
    stage.provider.say(body())
    assert (await patient).body == body()


def patient(seconds: float, **fields):
    call = asking(**fields)
    call.deadline_s = seconds
    return call


async def test_one_with_much_more_time_does_not_depend_on_a_hasty_leader():
    stage = Stage()
    await stage.begun(patient(10, stream=True))
    await stage.begun(patient(20, stream=True))
    assert len(stage.provider.asked) == 1
    await stage.begun(patient(21, stream=True))
    assert len(stage.provider.asked) == 2
    # From now on the patient one is found.
    await stage.begun(patient(42, stream=True))
    await stage.begun(patient(1, stream=True))
    assert len(stage.provider.asked) == 2


async def test_the_most_patient_takes_over():
    stage = Stage()
    calls = [patient(seconds) for seconds in (10, 5, 15, 15, 8)]
    tasks = [await stage.begun(call) for call in calls]
    stage.provider.say(UpstreamTimeout("slow"))
    await turn()
    assert [call for call, _ in stage.provider.asked] == [calls[0], calls[2]]
    stage.provider.say(body())
    await results(tasks)
    assert calls[2].cache == "miss"


@pytest.mark.parametrize("header", ["no-cache", "no-store", "max-age=0"])
async def test_who_forbids_it_does_not_wait_for_others_and_nobody_for_it(header):
    stage = Stage()
    first = await stage.begun(asking())
    alone = await stage.begun(asking(), header)
    third = await stage.begun(asking())
    assert len(stage.provider.asked) == 2
    stage.provider.say(body("alone"))
    assert (await alone).body == body("alone")
    assert not third.done()
    stage.provider.say(body("first"), 0)
    assert (await first).body == (await third).body == body("first")


async def test_who_reads_may_join_one_who_only_asked_for_a_new_answer():
    stage = Stage()
    await stage.begun(asking(), "no-cache")
    second = await stage.begun(asking())
    stage.provider.say(body())
    assert (await second).call.cache == "coalesced"


async def test_stale_answers_are_for_all_who_waited():
    stage = Stage(ttl_s=60, stale_s=60, stale_last=True)
    await stage.answered(asking(), body("old"))
    stage.provider.asked.clear()
    stage.clock.advance(61)
    calls, tasks = await crowd(stage, 10)
    stage.provider.say(UpstreamTimeout("slow"))
    assert {reply.body for reply in await results(tasks)} == {body("old")}
    assert {(call.cache, call.cache_age_s) for call in calls} == {("stale", 61)}
    assert len(stage.provider.asked) == 1


async def test_a_flight_is_found_by_who_looked_into_the_store_meanwhile():
    class Slow:
        """A store that takes a moment, as Redis does."""

        puts = 0

        async def get(self, key):
            return await asyncio.sleep(0, None)

        def put(self, key, value, keep_s):
            self.puts += 1

        async def close(self):
            pass

    stage = Stage(store=Slow())
    tasks = [asyncio.ensure_future(stage.ask(asking())) for _ in range(MANY)]
    await turn()
    assert len(stage.provider.asked) == 1
    stage.provider.say(body())
    assert len({reply.body for reply in await results(tasks)}) == 1
    assert stage.store.puts == 1
