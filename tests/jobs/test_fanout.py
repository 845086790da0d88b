"""Many calls of one job: patient, kept, and no item pays for another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from gatemill.core.errors import (
    BudgetSpent,
    CircuitOpen,
    Draining,
    GatemillError,
    InvalidApiKey,
    InvalidValue,
    LedgerUnavailable,
    ModelNotFound,
    Overloaded,
    RateLimited,
    UpstreamError,
    UpstreamRateLimited,
)
from gatemill.jobs.context import Quit
from gatemill.jobs.fanout import CONCURRENCY_MAX, Fan, Kept, Tokens, row, rows_of, tokens_of
from gatemill.jobs.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Callable


def body(item: int) -> bytes:
    return msgspec.json.encode({"item": item})


async def fanned(trial: Trial, count: int, concurrency: int = 4) -> tuple[list[Any], Fan]:
    """The rows of `count` items, each one call."""
    fan = Fan(trial, count, concurrency)

    async def make(item: int) -> Kept:
        answer = msgspec.json.decode(await fan.ask("any", body(item)))
        return Kept((row(item=item, answer=answer),), Tokens(1, 2, 3))

    found = await fan.run(
        range(count), "item.{}".format, make, lambda item, why: [{"item": item, "error": why.code}]
    )
    return [msgspec.json.decode(each) for each in rows_of(found)], fan


def answering(*failures: GatemillError, at: int = 3) -> Callable[[str, Any], Any]:
    """Item `at` fails with these, one after the other; all else is answered."""
    left = list(failures)

    def answer(operation: str, asked: Any) -> Any:
        if asked["item"] == at and left:
            raise left.pop(0)
        return asked["item"] * 10

    return answer


def asked(trial: Trial) -> list[int]:
    return [each["item"] for _, each in trial.asked]


async def test_items_are_answered_in_order_and_counted():
    trial = Trial(answering())
    rows, fan = await fanned(trial, 50)
    assert rows == [{"item": item, "answer": item * 10} for item in range(50)]
    assert (fan.usage, fan.failed) == (Tokens(50, 100, 150), 0)
    assert [each.current for each in trial.told] == sorted(each.current for each in trial.told)
    assert (trial.told[-1].current, trial.told[-1].total) == (50, 50)


async def test_an_item_that_can_never_succeed_fails_alone():
    trial = Trial(answering(InvalidValue("no", param="x")))
    rows, fan = await fanned(trial, 6)
    assert rows[3] == {"item": 3, "error": "invalid_value"}
    assert [each["item"] for each in rows if "answer" in each] == [0, 1, 2, 4, 5]
    assert fan.failed == 1


@pytest.mark.parametrize(
    "kind", [RateLimited, Overloaded, CircuitOpen, UpstreamRateLimited], ids=lambda kind: kind.code
)
async def test_a_limit_is_waited_for(kind: type[GatemillError]):
    trial = Trial(answering(kind("busy", retry_after_s=7), kind("busy")))
    rows, _ = await fanned(trial, 6)
    assert [each["answer"] for each in rows] == [0, 10, 20, 30, 40, 50]
    assert trial.slept_s >= 7 + 1, "what was asked for, and then at least a second"
    assert f"waits: {kind.code}" in [each.note for each in trial.told]


async def test_while_one_call_waits_no_other_begins():
    begun: list[float] = []

    def answer(operation: str, said: Any) -> Any:
        begun.append(trial.now_s())
        if len(begun) == 1:
            raise RateLimited("busy", retry_after_s=30)
        return 1

    trial = Trial(answer)
    await fanned(trial, 20, 1)
    assert begun[1] - begun[0] >= 30


async def test_a_busy_model_is_asked_as_it_has_room():
    running = most = refused = 0

    async def answer(operation: str, said: Any) -> Any:
        nonlocal running, most, refused
        if running == 3:
            refused += 1
            raise RateLimited("busy", retry_after_s=1)
        running += 1
        most = max(most, running)
        for _ in range(30):
            await asyncio.sleep(0)
        running -= 1
        return 1

    trial = Trial(answer)
    rows, _ = await fanned(trial, 300, 20)
    assert len(rows) == 300
    assert most == 3
    assert refused < 300, "the job learns how much room there is"
    assert trial.slept_s == 0, "and does not wait while it has calls under way"


@pytest.mark.parametrize("errors", [1, 1000])
async def test_a_long_wait_gives_the_slot_back(errors: int):
    """Either the limit says so, or nothing has been answered for minutes."""
    after_s = 3600.0 if errors == 1 else None
    trial = Trial(answering(*[RateLimited("busy", retry_after_s=after_s)] * errors, at=0))
    with pytest.raises(RateLimited):
        await fanned(trial, 5, 1)
    assert trial.slept_s <= 400
    assert trial.steps == {}


@pytest.mark.parametrize(
    "kind",
    [BudgetSpent, Draining, InvalidApiKey, LedgerUnavailable, ModelNotFound],
    ids=lambda kind: kind.code,
)
async def test_what_every_item_would_meet_ends_the_attempt(kind: type[GatemillError]):
    trial = Trial(answering(kind("no")), attempts_max=1)
    with pytest.raises(kind):
        await fanned(trial, 100, 1)
    assert asked(trial) == [0, 1, 2, 3]
    rows, _ = await fanned(trial, 100, 1)
    assert len(rows) == 100
    assert asked(trial)[4:] == list(range(3, 100)), "what was kept is not asked again"


async def test_what_is_under_way_is_kept_when_the_attempt_ends():
    """It is paid for."""
    three, refused = asyncio.Event(), asyncio.Event()

    async def answer(operation: str, said: Any) -> Any:
        if len(trial.asked) == 3:
            three.set()
        await three.wait()
        if said["item"] == 1:
            refused.set()
            raise BudgetSpent("no")
        await refused.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        return 1

    trial = Trial(answer)
    with pytest.raises(BudgetSpent):
        await fanned(trial, 10, 3)
    assert asked(trial) == [0, 1, 2]
    assert set(trial.steps) == {"item.0", "item.2"}


async def test_who_waits_when_the_attempt_ends_asks_no_more():
    waiting = asyncio.Event()

    async def answer(operation: str, said: Any) -> Any:
        if said["item"] == 0:
            await waiting.wait()
            raise BudgetSpent("no")
        if said["item"] == 1:
            waiting.set()
        raise RateLimited("busy", retry_after_s=1)

    trial = Trial(answer)
    with pytest.raises(BudgetSpent):
        await fanned(trial, 10, 3)
    assert len(trial.asked) <= 4


async def test_a_failure_that_may_pass_is_left_to_the_next_attempt():
    trial = Trial(answering(UpstreamError("down")), attempts_max=2)
    trial.job = msgspec.structs.replace(trial.job, attempt=1)
    with pytest.raises(UpstreamError):
        await fanned(trial, 6)
    assert asked(trial) == [0, 1, 2, 3, 4, 5], "the others have had their turn"
    rows, _ = await fanned(trial, 6)
    assert [each["answer"] for each in rows] == [0, 10, 20, 30, 40, 50]
    assert asked(trial)[6:] == [3]


async def test_after_the_last_attempt_it_is_the_items():
    trial = Trial(answering(UpstreamError("down"), UpstreamError("down")))
    trial.job = msgspec.structs.replace(trial.job, attempt=1)
    rows, fan = await fanned(trial, 6)
    assert rows[3] == {"item": 3, "error": "upstream_error"}
    assert fan.failed == 1
    assert "item.3" not in trial.steps, "a replay asks again"


async def test_a_job_without_any_success_is_a_failure():
    def answer(operation: str, said: Any) -> Any:
        raise UpstreamError("down")

    trial = Trial(answer)
    trial.job = msgspec.structs.replace(trial.job, attempt=1)
    with pytest.raises(UpstreamError):
        await fanned(trial, 6)


async def test_an_attempt_that_breaks_is_gone_on_with():
    class Died(Exception):
        pass

    deaths = [Died()]

    def answer(operation: str, said: Any) -> Any:
        if said["item"] == 50 and deaths:
            raise deaths.pop()
        return 1

    trial = Trial(answer)
    with pytest.raises(Died):
        await fanned(trial, 100, 4)
    first = set(asked(trial))
    assert len(first) < 60
    kept = {int(name.removeprefix("item.")) for name in trial.steps}
    told = len(trial.told)
    rows, fan = await fanned(trial, 100, 4)
    assert [each["item"] for each in rows] == list(range(100))
    again = asked(trial)[len(first) :]
    assert not set(again) & kept
    assert len(set(again) & first) <= 4, "no more than were under way"
    assert fan.usage.total_tokens == 300, "also of the first attempt"
    assert trial.told[told].current > 45, "progress begins where it was"


async def test_a_result_that_becomes_too_large_ends_the_job():
    trial = Trial(answering(), result_bytes=200)
    with pytest.raises(Quit) as caught:
        await fanned(trial, 1000, 1)
    assert caught.value.problem.code == "result_too_large"
    assert len(trial.asked) < 20, "no call is paid for nothing"


async def test_no_more_run_at_once_than_may():
    running = most = 0

    async def answer(operation: str, said: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(200):
            await asyncio.sleep(0)
        running -= 1
        return 1

    await fanned(Trial(answer), 300, 10_000)
    assert most == CONCURRENCY_MAX


async def test_usage_is_read_in_every_format():
    openai = {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    answers = {
        "chat": {"choices": [], **openai},
        "completions": {"choices": [], **openai},
        "messages": {"type": "message", "content": [], "usage": {"input_tokens": 3, "output_tokens": 4}},
        "responses": {"id": "r", "output": [], "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}},
    }  # fmt: skip
    for operation, answer in answers.items():
        assert tokens_of(operation, msgspec.json.encode(answer)) == Tokens(3, 4, 7), operation
    assert tokens_of("inference", b'{"tokens_used":7}') == Tokens(total_tokens=7)
    assert tokens_of("chat", b'{"choices":[]}') == Tokens()
    assert tokens_of("embeddings", b'{"data":[],"usage":{"prompt_tokens":3}}') == Tokens(3, 0, 3)
