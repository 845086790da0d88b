"""A trial looks to a kind like the real thing."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from gatemill.core.errors import UpstreamRefused
from gatemill.jobs.context import Context
from gatemill.jobs.trial import Trial


def public(cls: type) -> set[str]:
    return {name for name in vars(cls) if not name.startswith("_")}


def test_whatever_a_context_can_a_trial_can_in_the_same_words():
    ours = {"close", "key"}  # of the runner alone; and an attribute of a trial
    assert not public(Context) - public(Trial) - ours
    for name in public(Context) - ours:
        real = inspect.signature(getattr(Context, name))
        assert inspect.signature(getattr(Trial, name)) == real, name
    trial = Trial()
    assert trial.key.id == trial.job.key_id
    for name in ("job", "services", "latest"):
        assert hasattr(trial, name)


def kind(run: Any) -> Any:
    return SimpleNamespace(NAME="mine", Args=dict, run=run)


async def test_steps_are_made_once_in_all_runs():
    made = 0

    async def make() -> int:
        nonlocal made
        made += 1
        return made

    async def run(ctx: Any, args: Any) -> Any:
        return [await ctx.step("a", make), await ctx.step("b", make), ctx.job.attempt]

    trial = Trial()
    assert await trial.run(kind(run)) == [1, 2, 1]
    assert await trial.run(kind(run)) == [1, 2, 2]
    assert set(trial.steps) == {"a", "b"}


async def test_a_step_is_read_as_it_is_wished():
    class Pair(msgspec.Struct):
        a: int

    async def run(ctx: Any, args: Any) -> Any:
        async def make() -> Any:
            return {"a": 1}

        return isinstance(await ctx.step("a", make, Pair), Pair)

    assert await Trial().run(kind(run)) is True


async def test_what_a_kind_says_and_how_far_it_is_can_be_seen():
    async def run(ctx: Any, args: Any) -> Any:
        ctx.progress(5, 9, "half")
        ctx.progress(3, 9)
        await ctx.emit((b"data: 1\n\n",))
        await ctx.flush()

    trial = Trial()
    await trial.run(kind(run))
    assert [(each.current, each.note) for each in trial.told] == [(5, "half"), (5, "")]
    assert trial.said == [b"data: 1\n\n"]


async def test_parts_are_made_and_looked_at():
    async def run(ctx: Any, args: Any) -> Any:
        new = ctx.part("other", {"a": 1}, 3, priority=0)
        ended = await ctx.parts()
        return [new.kind, new.part, new.parent_id, new.priority, len(ended)]

    assert await Trial().run(kind(run)) == ["other", 3, "job_trial", 0, 0]


async def test_answers_may_come_later_and_be_bytes():
    async def answer(operation: str, body: Any) -> Any:
        return msgspec.json.encode({"operation": operation, **body})

    async def run(ctx: Any, args: Any) -> Any:
        return msgspec.json.decode(await ctx.ask("chat", b'{"a":1}'))

    trial = Trial(answer)
    assert await trial.run(kind(run)) == {"operation": "chat", "a": 1}
    assert trial.asked == [("chat", {"a": 1})]


async def test_what_echo_cannot_is_refused():
    async def run(ctx: Any, args: Any) -> Any:
        await ctx.ask("messages", b"{}")

    with pytest.raises(UpstreamRefused):
        await Trial().run(kind(run))


async def test_a_result_that_would_not_be_kept_fails():
    async def run(ctx: Any, args: Any) -> Any:
        return "x" * 100

    with pytest.raises(AssertionError, match="result_bytes"):
        await Trial(result_bytes=100).run(kind(run))


async def test_time_stands_still():
    async def run(ctx: Any, args: Any) -> Any:
        return ctx.now_s()

    trial = Trial()
    assert await trial.run(kind(run)) == await trial.run(kind(run))
