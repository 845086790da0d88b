"""Which of two models, or of two lots of answers, a third model finds better.

Rule: judge and instruction are pinned in the result, each pair is judged in both orders, and what has been
answered is not asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.structs import asdict

from gatemill.core.errors import InvalidValue
from gatemill.core.job import LOW, Problem
from gatemill.jobs.checking import check_model
from gatemill.jobs.context import Quit
from gatemill.jobs.fanout import Fan, Kept, tokens_of
from gatemill.jobs.judging import Judge, Pair, Row, judged, summary
from gatemill.jobs.prompting import Wish, chat_body, said_in
from gatemill.ledger.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.call import Key
    from gatemill.gateway.parts import Gateway
    from gatemill.jobs.context import Context
    from gatemill.ledger.experiment_rows import Experiment

NAME = "judge"
QUEUE = "inference"
PRIORITY = LOW
TIMEOUT_S = 21_600.0
MASKED = True

_Text = Annotated[str, Meta(min_length=1, max_length=200)]


class Prompt(Struct, frozen=True, forbid_unknown_fields=True):
    """A request that both models are asked."""

    id: Annotated[str, Meta(min_length=1, max_length=256)]
    text: Annotated[str, Meta(min_length=1)]


class Feeds(Struct, frozen=True, forbid_unknown_fields=True):
    """An experiment that hears of it."""

    experiment: _Text  # id or name
    metric: _Text  # one of its own, of kind mean
    a: _Text  # the arm behind `a`
    b: _Text


class Args(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either pairs of answers, or prompts and two models that answer them."""

    judge: Judge
    pairs: Annotated[tuple[Pair, ...], Meta(max_length=10_000)] = ()
    prompts: Annotated[tuple[Prompt, ...], Meta(max_length=10_000)] = ()
    a: Annotated[str, Meta(max_length=200)] = ""  # model
    b: Annotated[str, Meta(max_length=200)] = ""
    answer_tokens: Annotated[int, Meta(ge=1, le=32_000)] | None = None  # most of one answer
    feeds: Feeds | None = None
    concurrency: Annotated[int, Meta(ge=1, le=64)] = 8  # requests at once


def check(args: Args, key: Key, gateway: Gateway) -> None:
    """Raises InvalidValue and ModelNotFound."""
    if bool(args.pairs) == bool(args.prompts):
        raise InvalidValue(
            "`pairs`: send either `pairs`, or `prompts` with the models `a` and `b`.", param="pairs"
        )
    if args.prompts and not (args.a and args.b):
        raise InvalidValue("`a`: name the two models that answer, `a` and `b`.", param="a")
    check_model(gateway, key, args.judge.model, args.judge.output_max)
    for model in (args.a, args.b) if args.prompts else ():
        check_model(gateway, key, model, args.answer_tokens)
    if args.feeds is not None and args.feeds.a == args.feeds.b:
        raise InvalidValue("`feeds.b`: name another arm than `feeds.a`.", param="feeds.b")


async def run(ctx: Context, args: Args) -> Any:
    """Who won how often, and each pair."""
    one = await _fed(ctx, args.feeds)
    count = len(args.pairs) or len(args.prompts)
    fan = Fan(ctx, count * (1 if args.pairs else 3), args.concurrency)
    pairs: Sequence[Pair] = args.pairs
    lost: list[Row] = []
    spent: int | None = 0
    if not pairs:
        pairs, lost, spent = await _answers(fan, args)
    rows = await judged(fan, args.judge, pairs)
    found = asdict(summary([*rows, *lost], args.judge))
    if args.feeds is not None and one is not None:
        found["fed"] = await _feed(ctx, one, args.feeds, rows)
    return {
        **found,
        "answers_cost_microusd": spent,
        "usage": fan.usage,
        "rows": [*rows, *lost],
    }


async def _answers(fan: Fan, args: Args) -> tuple[list[Pair], list[Row], int | None]:
    """The pairs that both models answered, the others, and what it cost."""
    wishes = {
        name: Wish(model, args.answer_tokens) for name, model in (("a", args.a), ("b", args.b))
    }
    items = [(at, name) for at in range(len(args.prompts)) for name in wishes]

    async def make(item: tuple[int, str]) -> Kept:
        at, name = item
        body = chat_body(wishes[name], "", args.prompts[at].text)
        reply = await fan.reply("chat", _without_system(body))
        said = {"text": said_in(reply.body).text, "cost": reply.cost_microusd}
        return Kept((Raw(msgspec.json.encode(said)),), tokens_of("chat", reply.body))

    kept = await fan.run(items, lambda item: f"answer.{item[0]}.{item[1]}", make, _failure)
    said = [msgspec.json.decode(each.rows[0]) for each in kept]
    pairs: list[Pair] = []
    lost: list[Row] = []
    for at, prompt in enumerate(args.prompts):
        a, b = said[2 * at], said[2 * at + 1]
        failed = a.get("error") or b.get("error")
        if failed:
            lost.append(Row(prompt.id, error=msgspec.convert(failed, Problem)))
        else:
            pairs.append(Pair(prompt.id, prompt.text, a["text"], b["text"]))
    costs = [each.get("cost", 0) for each in said]
    return pairs, lost, None if None in costs else sum(costs)


def _without_system(body: bytes) -> bytes:
    found = msgspec.json.decode(body)
    found["messages"] = found["messages"][1:]
    return msgspec.json.encode(found)


def _failure(_item: tuple[int, str], problem: Problem) -> list[Any]:
    return [{"error": problem}]


# --- What an experiment hears of it ----------------------------------------------------------------


async def _fed(ctx: Context, feeds: Feeds | None) -> Experiment | None:
    """The experiment, before anything is paid for. Raises Quit."""
    if feeds is None:
        return None
    if not ctx.key.admin:
        raise Quit(Problem("permission_denied", "`feeds`: needs an admin key."))
    one = await ctx.services.rooms.experiments.get(feeds.experiment)
    for name in (feeds.a, feeds.b):
        if one.arm(name) is None:
            raise Quit(Problem("invalid_value", f"`feeds`: {one.name} has no arm {name[:200]}."))
    metric = next((each for each in one.metrics if each.name == feeds.metric), None)
    if metric is None or metric.kind != "mean":
        words = f"`feeds.metric`: {one.name} has no metric {feeds.metric[:200]} of kind mean."
        raise Quit(Problem("invalid_value", words))
    return one


async def _feed(ctx: Context, one: Experiment, feeds: Feeds, rows: Sequence[Row]) -> int:
    """The number of outcomes that count.

    A pair says something of one arm only, by turns: what both arms gain from one judgement is not
    independent, and the interval of their difference would be too narrow.
    """
    count = 0
    for at, row in enumerate(rows):
        if not row.winner:
            continue
        first = at % 2 == 0
        mark = f"judge:{ctx.job.id}:{at}"
        outcome = Outcome(
            experiment_id=one.id,
            mark=mark,
            metric=feeds.metric,
            arm=feeds.a if first else feeds.b,
            unit=mark,
            request_id="",
            key_id=ctx.job.key_id,
            value=row.score if first else 1.0 - row.score,
            at=ctx.now_s(),
            replaces=True,
        )
        count += await ctx.services.rooms.experiments.inbox.record(one, outcome)
    return count
