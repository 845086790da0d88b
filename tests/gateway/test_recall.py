"""Kept answers: what is kept, how long, and what the caller may say about it."""

from __future__ import annotations

import msgspec
import pytest

from gatemill.core.errors import CacheMiss, InvalidValue, UpstreamTimeout
from gatemill.gateway.recall import _encode
from playbook import DONE, HELLO, STOP, delta
from recall_stage import TAIL, WHOLE, Heard, Stage, asking, body, counts


async def test_an_equal_question_gets_the_same_answer_and_nobody_is_asked():
    stage = Stage()
    first = asking(temperature=1)
    reply = await stage.answered(first)
    assert (first.cache, first.cache_age_s) == ("miss", None)
    stage.clock.advance(7)
    second = asking(temperature=1.0, user="someone else")
    again = await stage.hit(second)
    assert again.body == reply.body
    assert again.call is second
    assert (second.cache, second.cache_age_s) == ("hit", 7)
    assert second.attempts == []
    assert counts(stage) == (1, 1, 0, 0)


async def test_what_could_not_be_carried_over_is_said_with_a_hit_too():
    stage = Stage()
    first = asking()
    first.reported = ("logit_bias",)
    await stage.answered(first)
    again = asking()
    await stage.hit(again)
    assert again.reported == ("logit_bias",)


async def test_an_answer_is_fresh_until_its_time_is_over():
    stage = Stage(ttl_s=60)
    await stage.answered(asking())
    stage.clock.advance(59.9)
    await stage.hit(asking())
    stage.clock.advance(0.1)
    await stage.answered(asking())


@pytest.mark.parametrize(
    "answer",
    [body(finish="length"), body(finish="content_filter"), b"{}", b"not json"],
)
async def test_an_answer_that_is_not_complete_is_not_kept(answer):
    stage = Stage()
    await stage.answered(asking(), answer)
    await stage.answered(asking())
    assert stage.store.entries == 1


async def test_an_answer_larger_than_the_route_allows_is_not_kept_and_counted():
    stage = Stage(entry_bytes=100)
    await stage.answered(asking(), body("x" * 100))
    await stage.answered(asking())
    assert stage.recall.too_large == 1


@pytest.mark.parametrize("operation", ["count_tokens", "images"])
async def test_operations_that_are_not_answers_are_never_kept(operation):
    stage = Stage()
    for _ in range(2):
        call = asking(operation=operation)
        await stage.answered(call)
        assert call.cache == ""


async def test_embeddings_are_kept():
    stage = Stage()
    await stage.answered(asking(operation="embeddings"), b'{"data":[]}')
    await stage.hit(asking(operation="embeddings"))


@pytest.mark.parametrize("off", [{"ttl_s": 0.0}, {"ttl_s": 0.0, "stale_s": 10.0}])
async def test_a_route_without_time_keeps_nothing(off):
    stage = Stage(**off)
    await stage.answered(asking())
    await stage.answered(asking())
    assert stage.store.entries == 0


async def test_a_question_with_a_name_twice_is_never_kept():
    stage = Stage()
    for _ in range(2):
        call = asking()
        call.body = call.body[:-1] + b',"model":"m"}'
        await stage.answered(call)
    with pytest.raises(CacheMiss):
        await stage.ask(call, "only-if-cached")


async def test_a_failure_is_not_kept():
    stage = Stage()
    with pytest.raises(UpstreamTimeout):
        await stage.answered(asking(), UpstreamTimeout("slow"))
    await stage.answered(asking())


@pytest.mark.parametrize(
    "change",
    [
        {"version": "w"},
        {"arm": "v2"},
        {"headers": (("anthropic-beta", "x"),)},
        {"operation": "messages"},
    ],
)
async def test_whatever_else_decides_the_answer_tells_questions_apart(change):
    stage = Stage()
    await stage.answered(asking())
    call = asking(operation=change.get("operation", "chat"))
    call.version = change.get("arm", "")
    call.headers = change.get("headers", ())
    with pytest.raises(CacheMiss):
        await stage.ask(call, "only-if-cached", change.get("version", "v"))


# --- What the caller says ------------------------------------------------------------------------------


async def test_no_store_neither_reads_nor_writes():
    stage = Stage()
    call = asking()
    await stage.answered(call, header="no-store")
    assert (call.cache, stage.store.entries) == ("", 0)
    await stage.answered(asking(), body("kept"))
    await stage.answered(asking(), header="no-store")
    assert (await stage.hit(asking())).body == body("kept")


@pytest.mark.parametrize("header", ["no-cache", "max-age=0"])
async def test_no_cache_asks_and_keeps_what_it_gets(header):
    stage = Stage()
    await stage.answered(asking(), body("old"))
    call = asking()
    await stage.answered(call, body("new"), header)
    assert call.cache == "miss"
    assert (await stage.hit(asking())).body == body("new")


async def test_max_age_takes_what_is_young_enough():
    stage = Stage()
    await stage.answered(asking())
    stage.clock.advance(10)
    await stage.hit(asking(), "max-age=10")
    await stage.answered(asking(), header="max-age=9")


@pytest.mark.parametrize("header", ["", "no-cache, ", "no-store, ", "max-age=0, "])
async def test_only_if_cached_never_asks(header):
    stage = Stage()
    if header:
        await stage.answered(asking())
    before = len(stage.provider.asked)
    with pytest.raises(CacheMiss) as missed:
        await stage.ask(asking(), header + "only-if-cached")
    assert missed.value.status == 504
    assert len(stage.provider.asked) == before


async def test_only_if_cached_gets_what_is_there():
    stage = Stage()
    await stage.answered(asking())
    await stage.hit(asking(), "only-if-cached")


# --- Streams --------------------------------------------------------------------------------------------


async def test_a_stream_is_kept_as_it_was_and_comes_again_as_a_stream():
    stage = Stage()
    heard = await stage.streamed(asking(stream=True), HELLO, STOP + DONE)
    assert heard.sink.data == WHOLE + TAIL
    call = asking(stream=True)
    again = Heard((await stage.hit(call)).stream).attach()
    assert again.sink.data == WHOLE + TAIL
    assert again.settled == again.sink.closed == [None]
    assert call.cache == "hit"


async def test_a_stream_and_a_body_are_separate_entries():
    stage = Stage()
    await stage.streamed(asking(stream=True))
    await stage.answered(asking())
    assert stage.store.entries == 2


@pytest.mark.parametrize("parts", [(HELLO, DONE), (HELLO, delta("length"), DONE)])
async def test_a_stream_that_is_not_complete_is_not_kept(parts):
    stage = Stage()
    await stage.streamed(asking(stream=True), *parts)
    assert stage.store.entries == 0


async def test_a_stream_with_several_choices_needs_the_end_of_each():
    stage = Stage()
    await stage.streamed(asking(stream=True, n=2))
    assert stage.store.entries == 0


async def test_a_stream_larger_than_the_route_allows_flows_and_is_not_kept():
    stage = Stage(entry_bytes=10 * len(HELLO))
    heard = await stage.streamed(asking(stream=True), *[HELLO] * 50, STOP + DONE)
    assert heard.sink.data == HELLO * 50 + STOP + DONE + TAIL
    assert stage.store.entries == 0
    assert stage.recall.space.overflowed == 1
    assert stage.recall.space.bytes == 0


async def test_an_attempt_is_settled_with_the_upstream_and_a_hit_with_its_own_end():
    stage = Stage()
    heard = await stage.streamed(asking(stream=True))
    assert heard.settled == [None]
    again = Heard((await stage.hit(asking(stream=True))).stream)
    assert again.settled == []
    again.stream.abort()
    assert [error.code for error in again.settled] == ["client_closed_request"]


# --- Stale ----------------------------------------------------------------------------------------------


async def test_a_stale_answer_is_given_when_every_target_failed():
    stage = Stage(ttl_s=60, stale_s=60, stale_last=True)
    await stage.answered(asking(), body("old"))
    stage.clock.advance(100)
    call = asking()
    reply = await stage.answered(call, UpstreamTimeout("slow"))
    assert reply.body == body("old")
    assert (call.cache, call.cache_age_s) == ("stale", 100)
    stage.clock.advance(20)
    with pytest.raises(UpstreamTimeout):
        await stage.answered(asking(), UpstreamTimeout("slow"))


@pytest.mark.parametrize(
    ("stale_last", "error", "header"),
    [
        (False, UpstreamTimeout("slow"), ""),
        (True, InvalidValue("yours"), ""),
        (True, UpstreamTimeout("slow"), "no-cache"),
        (True, UpstreamTimeout("slow"), "no-store"),
    ],
)
async def test_a_stale_answer_is_not_given_otherwise(stale_last, error, header):
    stage = Stage(ttl_s=60, stale_s=60, stale_last=stale_last)
    await stage.answered(asking())
    stage.clock.advance(100)
    with pytest.raises(type(error)):
        await stage.answered(asking(), error, header)


async def test_a_good_answer_replaces_the_stale_one():
    stage = Stage(ttl_s=60, stale_s=60, stale_last=True)
    await stage.answered(asking(), body("old"))
    stage.clock.advance(100)
    await stage.answered(asking(), body("new"))
    assert (await stage.hit(asking())).body == body("new")


async def test_without_a_kept_answer_the_failure_is_the_callers():
    stage = Stage(stale_s=60, stale_last=True)
    with pytest.raises(UpstreamTimeout):
        await stage.answered(asking(), UpstreamTimeout("slow"))


# --- Explaining -----------------------------------------------------------------------------------------


async def test_the_state_of_a_question_is_told_without_asking():
    stage = Stage(ttl_s=60, stale_s=60)

    async def state(call):
        return (await stage.recall.state(stage.route, call, "v"))[:2]

    digest, found = await state(asking())
    assert (len(digest), found) == (64, "absent")
    await stage.answered(asking())
    assert await state(asking()) == (digest, "fresh")
    stage.clock.advance(60)
    assert await state(asking()) == (digest, "stale")
    stage.clock.advance(60)
    assert await state(asking()) == (digest, "absent")
    assert await state(asking(operation="count_tokens")) == ("", "never")
    assert len(stage.provider.asked) == 1


def test_what_is_kept_is_compact():
    kept = _encode((b"d" * 32, 1.0, False, (), body()))
    assert len(kept) < len(body()) + 60
    assert isinstance(msgspec.msgpack.decode(kept), list)
