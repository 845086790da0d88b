"""Whatever a kind does, the right outcome comes of it, and no exception text is in it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import UNSET, Struct
from msgspec.structs import replace

from gatemill.core.clock import FakeClock
from gatemill.core.errors import (
    BudgetSpent,
    CircuitOpen,
    GatemillError,
    LedgerUnavailable,
    ModelNotFound,
    Overloaded,
    QueueFull,
    RateLimited,
    UpstreamError,
    UpstreamRateLimited,
)
from gatemill.core.job import (
    Again,
    Claimed,
    Failed,
    Job,
    Postponed,
    Problem,
    Progress,
    Released,
    Stopped,
    Succeeded,
    Waiting,
)
from gatemill.jobs import runner
from gatemill.jobs.context import Parts, Quit
from gatemill.jobs.eventlog import Lost
from gatemill.jobs.news import News
from gatemill.jobs.runner import Run
from gatemill.jobs.services import Amounts
from gatemill.jobs.worker import _interrupt

JOB = Job(
    id="job_1",
    owner="key:k",
    key_id="",
    kind="k",
    queue="q",
    priority=1,
    state="running",
    run_at=0.0,
    expires_at=None,
    attempt=1,
    attempts_max=4,
    lost=0,
    timeout_s=60.0,
    keep_s=60.0,
    cancel=False,
    unique_key="",
    callback_url="",
    metadata=b"{}",
    parent_id="",
    part=0,
    parts=0,
    parts_open=0,
    notify=True,
    worker_id="w",
    created_at=0.0,
    started_at=0.0,
    finished_at=None,
    keep_until=None,
    error=None,
)


class Args(Struct, forbid_unknown_fields=True):
    n: int = 0


class Jobs:
    """What the ledger keeps of one job."""

    def __init__(self) -> None:
        self.events: list[bytes] = []
        self.is_ours = True

    async def append_events(self, _claimed: Claimed, events: Any) -> bool:
        self.events += events
        return self.is_ours


AMOUNTS = Amounts()


def made(run: Any, *, args: bytes = b"{}", amounts: Amounts = AMOUNTS, **more: Any) -> Run:
    kind = SimpleNamespace(NAME="k", QUEUE="q", Args=Args, run=run, **more.pop("kind", {}))
    services: Any = SimpleNamespace(
        ledger=SimpleNamespace(jobs=Jobs()),
        clock=FakeClock(1000.0),
        kinds=SimpleNamespace(find=lambda _: kind, names=("k",)),
        amounts=amounts,
        news=News(),
    )
    return Run(Claimed(replace(JOB, **more), args, "token"), services, 0.0)


async def outcome_of(one: Run, unit: float = 0.5) -> Any:
    return await runner.run(one, lambda _claimed, _progress: None, lambda: unit)


def raising(error: BaseException) -> Any:
    async def run(_ctx: Any, _args: Any) -> Any:
        raise error

    return run


async def test_what_a_kind_gives_is_the_result():
    async def run(ctx: Any, args: Args) -> Any:
        ctx.progress(args.n, 7)
        return {"n": args.n}

    one = made(run, args=b'{"n":7}')
    assert await outcome_of(one) == Succeeded(b'{"n":7}')
    assert one.progress == Progress(7, 7)


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("x", retry_after_s=7.0),
        Overloaded("x", retry_after_s=7.0),
        QueueFull("x", retry_after_s=7.0),
        CircuitOpen("x", retry_after_s=7.0),
        LedgerUnavailable("x", retry_after_s=7.0),
    ],
)
async def test_a_call_that_could_not_begin_postpones_the_job(error: GatemillError):
    outcome = await outcome_of(made(raising(error), attempt=4), unit=0.4)
    assert outcome == Postponed(Problem(error.code, "x"), 1000.0 + 7.0 * 1.1)


@pytest.mark.parametrize(("said_s", "waits_s"), [(None, 1.0), (0.001, 1.0), (9999.0, 300.0)])
async def test_a_postponed_job_waits_at_least_a_second_and_at_most_five_minutes(said_s, waits_s):
    error = RateLimited("x", retry_after_s=said_s)
    assert (await outcome_of(made(raising(error)), unit=0.0)).run_at == 1000.0 + waits_s


@pytest.mark.parametrize("error", [ModelNotFound("no", param="model"), BudgetSpent("no")])
async def test_what_cannot_become_right_is_a_dead_letter_at_once(error: GatemillError):
    outcome = await outcome_of(made(raising(error)))
    param = error.param if error.param is not None else UNSET
    assert outcome == Failed(Problem(error.code, "no", param))


async def test_a_providers_failure_is_tried_again_with_growing_pauses():
    run = raising(UpstreamError("down"))
    ends = [await outcome_of(made(run, attempt=attempt), unit=1.0) for attempt in (1, 2, 3)]
    assert [one.run_at - 1000.0 for one in ends] == [1.0, 2.0, 4.0]
    assert {type(one) for one in ends} == {Again}


async def test_the_pause_has_full_jitter_and_a_maximum():
    amounts = Amounts(backoff_max_s=3.0)
    ends = [
        await outcome_of(made(raising(UpstreamError("x")), attempt=3, amounts=amounts), unit=unit)
        for unit in (0.0, 0.5, 1.0)
    ]
    assert [one.run_at - 1000.0 for one in ends] == [0.0, 1.5, 3.0]


async def test_after_the_last_attempt_it_is_a_dead_letter():
    outcome = await outcome_of(made(raising(UpstreamError("down")), attempt=4))
    assert outcome == Failed(Problem("upstream_error", "down"))


async def test_retry_after_of_a_provider_is_honoured():
    error = UpstreamRateLimited("slow down", retry_after_s=90.0)
    assert (await outcome_of(made(raising(error)), unit=1.0)).run_at == 1090.0


async def test_a_kind_may_have_pauses_of_its_own():
    kind = {"DELAYS_S": (5.0, 300.0)}
    pauses = []
    for attempt in (1, 2, 3):
        one = made(raising(UpstreamError("x")), attempt=attempt, kind=kind)
        pauses.append((await outcome_of(one, unit=0.5)).run_at - 1000.0)
    assert pauses == pytest.approx([5.0, 300.0, 300.0])


async def test_an_attempt_that_takes_too_long_is_tried_again_and_then_a_dead_letter():
    async def run(_ctx: Any, _args: Any) -> Any:
        await asyncio.sleep(60)

    first = await outcome_of(made(run, timeout_s=0.01))
    last = await outcome_of(made(run, timeout_s=0.01, attempt=4))
    assert isinstance(first, Again)
    assert isinstance(last, Failed)
    assert first.error == last.error
    assert first.error.code == "job_timeout"


async def test_a_timeout_inside_a_kind_is_not_its_own():
    outcome = await outcome_of(made(raising(TimeoutError())))
    assert outcome.error.code == "internal_error"


async def test_nothing_of_an_unknown_exception_is_kept():
    outcome = await outcome_of(made(raising(RuntimeError("password is hunter2"))))
    assert isinstance(outcome, Again)
    assert outcome.error.code == "internal_error"
    assert "hunter2" not in outcome.error.message


async def test_a_result_that_is_no_json_is_a_dead_letter_because_the_next_would_be_none_either():
    async def run(_ctx: Any, _args: Any) -> Any:
        return object()

    outcome = await outcome_of(made(run))
    assert isinstance(outcome, Failed)
    assert outcome.error.code == "result_invalid"


async def test_a_result_above_the_limit_is_a_dead_letter():
    async def run(_ctx: Any, _args: Any) -> Any:
        return "x" * 100

    outcome = await outcome_of(made(run, amounts=Amounts(result_bytes=50)))
    assert isinstance(outcome, Failed)
    assert outcome.error.code == "result_too_large"
    assert "jobs.result_bytes" in outcome.error.message


@pytest.mark.parametrize("args", [b'{"n":"x"}', b"{", b'{"m":1}'])
async def test_arguments_that_do_not_fit_any_more_are_a_dead_letter(args: bytes):
    outcome = await outcome_of(made(raising(AssertionError()), args=args))
    assert isinstance(outcome, Failed)
    assert outcome.error.code == "invalid_arguments"


async def test_a_kind_may_give_up_or_wait_for_parts():
    problem = Problem("no_documents", "There are none.")
    assert await outcome_of(made(raising(Quit(problem)))) == Failed(problem)
    assert await outcome_of(made(raising(Parts([])))) == Waiting(())


async def test_a_kind_that_this_worker_does_not_know_waits_for_one_that_does():
    one = made(raising(AssertionError("it began")))
    one.services.kinds.names = ("other",)
    outcome = await outcome_of(one, unit=0.0)
    assert isinstance(outcome, Postponed)
    assert (outcome.error.code, outcome.run_at) == ("unknown_kind", 1015.0)


@pytest.mark.parametrize("depth", [1, 2])
async def test_a_failure_among_the_tasks_of_a_kind_counts_like_its_own(depth: int):
    error: Exception = RateLimited("x", retry_after_s=7.0)
    for _ in range(depth):
        error = ExceptionGroup("tasks", [error])
    assert await outcome_of(made(raising(error)), unit=0.0) == Postponed(
        Problem("rate_limit_exceeded", "x"), 1007.0
    )


@pytest.mark.parametrize(
    ("why", "outcome"), [("cancel", Stopped()), ("drain", Released()), ("fenced", None)]
)
async def test_why_a_job_was_stopped_decides_what_becomes_of_it(why: str, outcome: Any):
    begun = asyncio.Event()

    async def run(_ctx: Any, _args: Any) -> Any:
        begun.set()
        await asyncio.sleep(60)

    one = made(run)
    task = asyncio.ensure_future(outcome_of(one))
    await begun.wait()
    one.why = why
    task.cancel()
    assert await task == outcome


async def test_a_job_that_was_stopped_before_it_began_does_not_begin():
    one = made(raising(AssertionError("it began")))
    one.why = "drain"
    assert await outcome_of(one) == Released()


async def test_a_kind_that_cancels_itself_is_a_fault_and_not_a_cancelled_job():
    outcome = await outcome_of(made(raising(asyncio.CancelledError())))
    assert isinstance(outcome, Again)
    assert outcome.error.code == "internal_error"


async def test_whoever_cancels_us_without_a_reason_is_obeyed():
    begun = asyncio.Event()

    async def run(_ctx: Any, _args: Any) -> Any:
        begun.set()
        await asyncio.sleep(60)

    task = asyncio.ensure_future(outcome_of(made(run)))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_nothing_comes_of_a_claim_that_has_ended():
    assert await outcome_of(made(raising(Lost()))) is None

    async def speak(ctx: Any, _args: Any) -> Any:
        await ctx.emit([b"data: x\n\n"])

    one = made(speak)
    one.services.ledger.jobs.is_ours = False
    assert await outcome_of(one) is None


async def test_what_a_job_said_is_in_its_log_also_when_it_fails():
    async def run(ctx: Any, _args: Any) -> Any:
        await ctx.emit([b"data: 1\n\n", b"data: 2\n\n"])
        raise UpstreamError("cut")

    one = made(run)
    assert isinstance(await outcome_of(one), Again)
    assert one.services.ledger.jobs.events == [b"data: 1\n\n", b"data: 2\n\n"]


async def test_what_a_stopped_kind_has_still_to_write_is_written_also_when_it_is_told_again():
    begun, saving, written = asyncio.Event(), asyncio.Event(), []

    async def save_rest() -> None:
        saving.set()
        await asyncio.sleep(0)
        written.append("rest")
        raise Lost

    async def run(ctx: Any, _args: Any) -> Any:
        ctx.save_rest = save_rest
        begun.set()
        await asyncio.Event().wait()

    one = made(run)
    one.begun = True
    one.task = asyncio.ensure_future(outcome_of(one))
    await begun.wait()
    _interrupt(one, "cancel")
    await saving.wait()
    _interrupt(one, "drain")
    assert isinstance(await one.task, Stopped)
    assert written == ["rest"]
