"""One run for each Idempotency-Key, whatever becomes of it, over a real database."""

from __future__ import annotations

import asyncio

import pytest

import databases
from gatemill.core.call import Key, Reply
from gatemill.core.clock import FakeClock
from gatemill.core.errors import (
    IdempotencyAnswerLost,
    IdempotencyKeyBusy,
    IdempotencyKeyReused,
    InvalidValue,
    LedgerUnavailable,
    RateLimited,
    UpstreamInterrupted,
    UpstreamTimeout,
)
from gatemill.gateway.idempotency import GRACE_S, RETRY_S_MAX, SPENDING, Idempotency
from gatemill.ledger.claims import Claims
from playbook import DONE, HELLO, STOP
from recall_stage import TAIL, WHOLE, Flowing, Heard, Stage, asking, body, turn, until
from writing import writing

KEEP_S = 86_400.0


class Desk:
    """The keys of all callers, and a provider that counts its work."""

    def __init__(self, write, clock: FakeClock, body_bytes: int = 10_000) -> None:
        self.write = write
        self.clock = clock
        self.idempotency = Idempotency(Claims(write, "me", clock), clock, KEEP_S, body_bytes)
        self.runs = 0

    async def ask(self, answer, call=None, name: str = "once"):
        """The reply to a call whose run gives `answer`: a body, a stream, a failure or a future."""
        call = call or asking()

        async def run() -> Reply:
            self.runs += 1
            said = await answer if isinstance(answer, asyncio.Future) else answer
            if isinstance(said, BaseException):
                raise said
            if isinstance(said, bytes):
                return Reply(call=call, body=said)
            return Reply(call=call, stream=said)

        async with asyncio.timeout(60):
            return await self.idempotency.answer(call, name, run)

    async def settled(self) -> None:
        """Everything handed to the database is in it."""
        await turn()
        await self.write(lambda _: None)
        await turn()


@pytest.fixture
async def desk(tmp_path):
    with databases.empty("sqlite", tmp_path) as place:
        async with writing(place) as write:
            yield Desk(write, FakeClock())


async def test_the_same_request_again_gets_the_same_answer_and_nothing_is_run(desk):
    first = await desk.ask(body("one"))
    assert (first.reply.body, first.is_replayed) == (body("one"), False)
    call = asking()
    again = await desk.ask(body("two"), call)
    assert (again.reply.body, again.is_replayed) == (body("one"), True)
    assert again.reply.call is call
    assert again.reply.stream is None
    assert (desk.runs, desk.idempotency.replayed) == (1, 1)


async def test_while_it_runs_the_same_request_is_told_to_wait(desk):
    held = asyncio.get_running_loop().create_future()
    first = asyncio.ensure_future(desk.ask(held))
    await desk.settled()
    with pytest.raises(IdempotencyKeyBusy) as busy:
        await desk.ask(body())
    assert busy.value.retry_after_s == 1
    desk.clock.advance(60)
    with pytest.raises(IdempotencyKeyBusy) as busy:
        await desk.ask(body())
    assert busy.value.retry_after_s == RETRY_S_MAX
    held.set_result(body("one"))
    await first
    assert (await desk.ask(body())).reply.body == body("one")
    assert desk.runs == 1


async def test_a_hundred_at_once_run_once(desk):
    held = asyncio.get_running_loop().create_future()
    tasks = [asyncio.ensure_future(desk.ask(held)) for _ in range(100)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    held.set_result(body())
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert desk.runs == 1
    assert sum(isinstance(one, IdempotencyKeyBusy) for one in found) <= 99
    good = [one for one in found if not isinstance(one, IdempotencyKeyBusy)]
    assert {one.reply.body for one in good} == {body()}
    assert [one.is_replayed for one in good].count(False) == 1


@pytest.mark.parametrize("other", [asking("Bye"), asking(operation="messages"), asking(n=2)])
async def test_another_request_with_the_same_key_is_refused_while_it_runs_and_after(desk, other):
    held = asyncio.get_running_loop().create_future()
    first = asyncio.ensure_future(desk.ask(held))
    await desk.settled()
    with pytest.raises(IdempotencyKeyReused):
        await desk.ask(body(), other)
    held.set_result(body())
    await first
    with pytest.raises(IdempotencyKeyReused):
        await desk.ask(body(), other)


async def test_keys_belong_to_their_caller(desk):
    await desk.ask(body("mine"))
    yours = await desk.ask(body("yours"), asking(key=Key(id="other", name="")))
    assert (yours.reply.body, yours.is_replayed) == (body("yours"), False)


async def test_another_name_is_another_request(desk):
    await desk.ask(body("one"))
    assert (await desk.ask(body("two"), name="twice")).reply.body == body("two")


@pytest.mark.parametrize("error", [RateLimited("later"), UpstreamTimeout("slow"), KeyError()])
async def test_a_failure_gives_the_key_back(desk, error):
    with pytest.raises(type(error)):
        await desk.ask(error)
    await desk.settled()
    again = await desk.ask(body())
    assert (again.is_replayed, desk.runs) == (False, 2)


async def test_a_caller_who_hangs_up_gives_the_key_back(desk):
    held = asyncio.get_running_loop().create_future()
    first = asyncio.ensure_future(desk.ask(held))
    await desk.settled()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await desk.settled()
    assert (await desk.ask(body("two"))).reply.body == body("two")


async def test_a_caller_who_hangs_up_while_the_key_is_being_claimed_gives_it_back(desk):
    first = asyncio.ensure_future(desk.ask(body("one")))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await desk.settled()
    assert desk.runs == 0
    assert (await desk.ask(body("two"))).reply.body == body("two")


async def test_a_caller_who_hangs_up_after_the_answer_was_paid_finds_it_kept(desk):
    release = asyncio.Event()
    plain = desk.idempotency._claims.finish_claim

    async def slow(*how):
        await release.wait()
        return await plain(*how)

    desk.idempotency._claims.finish_claim = slow
    first = asyncio.ensure_future(desk.ask(body("paid")))
    await until(lambda: desk.runs == 1)
    await turn()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    release.set()
    await desk.settled()
    assert (await desk.ask(body("two"))).reply.body == body("paid")


async def test_a_claim_ends_a_little_after_its_requests_deadline(desk):
    held = asyncio.get_running_loop().create_future()
    call = asking()
    call.deadline_s = 30.0
    first = asyncio.ensure_future(desk.ask(held, call))
    await desk.settled()
    desk.clock.advance(30 + GRACE_S - 0.5)
    with pytest.raises(IdempotencyKeyBusy):
        await desk.ask(body("two"))
    desk.clock.advance(0.5)
    assert (await desk.ask(body("two"))).reply.body == body("two")
    # The first one's answer comes too late to be kept; its caller still gets it.
    held.set_result(body("one"))
    assert (await first).reply.body == body("one")
    assert (await desk.ask(body())).reply.body == body("two")


async def test_an_answer_is_kept_for_its_time(desk):
    await desk.ask(body("one"))
    desk.clock.advance(KEEP_S - 1)
    assert (await desk.ask(body())).is_replayed
    desk.clock.advance(1)
    assert not (await desk.ask(body("two"))).is_replayed


async def test_an_answer_too_large_to_keep_is_given_once_and_never_paid_again(desk):
    desk.idempotency._body_bytes = len(body())
    assert (await desk.ask(body())).reply.body == body()
    assert (await desk.ask(body("larger"), name="big")).reply.body == body("larger")
    with pytest.raises(IdempotencyAnswerLost) as lost:
        await desk.ask(body(), name="big")
    assert (lost.value.status, lost.value.retry) == (409, False)
    assert (await desk.ask(body())).is_replayed
    assert desk.idempotency.too_large == 1
    with pytest.raises(IdempotencyKeyReused):
        await desk.ask(body(), asking("Bye"), name="big")


@pytest.mark.parametrize("name", ["", "x" * 256, "tab\there", "line\n", "é", "\x7f"])
async def test_a_name_that_is_no_printable_text_is_refused(desk, name):
    with pytest.raises(InvalidValue) as refused:
        await desk.ask(body(), name=name)
    assert refused.value.param == "Idempotency-Key"
    assert desk.runs == 0


@pytest.mark.parametrize("name", ["x", "x" * 255, "a b", "~!'\"; DROP TABLE idempotency"])
async def test_any_printable_text_is_a_name(desk, name):
    await desk.ask(body(), name=name)
    assert (await desk.ask(body(), name=name)).is_replayed


async def test_without_the_database_nothing_runs(desk):
    async def away(work):
        raise LedgerUnavailable("away")

    desk.idempotency._claims._write = away
    with pytest.raises(LedgerUnavailable):
        await desk.ask(body())
    assert desk.runs == 0


async def test_a_database_that_leaves_meanwhile_costs_the_caller_nothing(desk):
    plain = desk.write

    async def away(work):
        raise LedgerUnavailable("away")

    held = asyncio.get_running_loop().create_future()
    first = asyncio.ensure_future(desk.ask(held))
    await desk.settled()
    desk.idempotency._claims._write = away
    held.set_result(body())
    assert (await first).reply.body == body()
    assert desk.idempotency.not_stored == 1
    desk.idempotency._claims._write = plain
    with pytest.raises(IdempotencyKeyBusy):
        await desk.ask(body())


async def test_answers_survive_a_restart(desk):
    await desk.ask(body("one"))
    later = Desk(desk.write, desk.clock)
    assert (await later.ask(body("two"))).reply.body == body("one")


def test_counting_tokens_costs_nothing_and_needs_no_key():
    assert "count_tokens" not in SPENDING
    assert len(SPENDING) == 10


# --- Streams --------------------------------------------------------------------------------------------


async def begun(desk, **how):
    source = Flowing(HELLO)
    answered = await desk.ask(source, asking(stream=True), **how)
    return source, Heard(answered.reply.stream).attach()


async def test_a_stream_comes_again_as_a_stream_byte_for_byte(desk):
    source, heard = await begun(desk)
    source.say(STOP + DONE)
    source.end()
    assert heard.sink.data == WHOLE + TAIL
    await desk.settled()
    again = await desk.ask(body(), asking(stream=True))
    assert again.is_replayed
    replayed = Heard(again.reply.stream).attach()
    assert replayed.sink.data == WHOLE + TAIL
    assert heard.settled == replayed.settled == [None]
    assert desk.idempotency.space.bytes == 0


async def test_while_a_stream_flows_its_key_is_busy(desk):
    source, _ = await begun(desk)
    with pytest.raises(IdempotencyKeyBusy):
        await desk.ask(body(), asking(stream=True))
    source.end()


async def test_a_stream_that_failed_or_was_left_gives_the_key_back(desk):
    source, _ = await begun(desk)
    source.end(UpstreamInterrupted("cut"))
    await desk.settled()
    source, heard = await begun(desk)
    heard.stream.abort()
    assert source.calls[-1] == "abort"
    assert [error.code for error in heard.settled] == ["client_closed_request"]
    await desk.settled()
    source, _ = await begun(desk)
    assert desk.runs == 3
    source.end()


async def test_a_stream_too_large_to_keep_flows_and_is_lost(desk):
    desk.idempotency._body_bytes = len(HELLO)
    source, heard = await begun(desk)
    source.say(HELLO)
    source.say(STOP + DONE)
    source.end()
    assert heard.sink.data == HELLO + WHOLE + TAIL
    await desk.settled()
    with pytest.raises(IdempotencyAnswerLost):
        await desk.ask(body(), asking(stream=True))


async def test_a_recorded_stream_of_the_cache_is_kept_too(desk):
    """Both records stand behind each other: the call is settled once, with the real end."""
    stage = Stage()
    source = Flowing(HELLO)
    call = asking(stream=True)

    async def run() -> Reply:
        return await stage.ask(call)

    task = asyncio.ensure_future(desk.idempotency.answer(call, "once", run))
    await desk.settled()
    await until(lambda: bool(stage.provider.asked))
    stage.provider.say(source)
    heard = Heard((await task).reply.stream).attach()
    other = Heard((await stage.hit(asking(stream=True))).stream).attach()
    heard.stream.abort()
    assert heard.settled == []
    source.say(STOP + DONE)
    source.end()
    assert [each.settled for each in (other, heard)] == [[None], [None]]
    assert other.sink.data == WHOLE + TAIL
