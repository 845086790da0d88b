"""Recorded requests against another model or configuration: what it would cost, how fast, how good.

Rule: nothing is asked twice, whatever dies; kept answers are not asked for, so that each cost and each
latency is that of a provider. Recordings hold what callers wrote, so only an admin's key may do it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from gatemill.core.errors import (
    InvalidValue,
    NotFound,
    PermissionDenied,
    UnsupportedOperation,
    UpstreamBadReply,
)
from gatemill.core.job import LOW, Problem
from gatemill.jobs import judging, replaying
from gatemill.jobs.checking import check_model
from gatemill.jobs.fanout import Fan, Kept, Tokens, tokens_of
from gatemill.jobs.judging import Judge
from gatemill.jobs.replaying import OWN_FIELDS, Against, Row
from gatemill.jobs.runner import problem_of
from gatemill.ledger.recordings import EVER_S, Sieve
from gatemill.wire import said
from gatemill.wire.moments import moment_s

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.gateway.parts import Gateway
    from gatemill.jobs.context import Context
    from gatemill.ledger.recordings import Recording
    from gatemill.wire.said import Said

NAME = "requests.replay"
QUEUE = "replay"
PRIORITY = LOW
TIMEOUT_S = 21_600.0

LIMIT_MAX = 10_000
TEXTS_MAX = 1_000  # requests, where the beginnings of their answers are kept
_PAGE = 1_000  # recordings listed at a time
_FRESH = "no-store"  # nothing is read from the cache, and nothing kept there
_VERDICTS = {"a": "after", "b": "before", "tie": "tie"}  # the replay is `a`, so that it wins
_Moment = float | str | None


class Filter(Struct, frozen=True, forbid_unknown_fields=True):
    """Which recordings; the newest first. Failures are never asked again."""

    model: str = ""  # as callers name it
    key: str = ""
    operation: str = ""
    since: _Moment = None
    until: _Moment = None
    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX)] = 100


class Similarity(Struct, frozen=True, forbid_unknown_fields=True):
    """Compares answers by their vectors."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]


class Args(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to ask again, and how."""

    filter: Filter | None = None
    request_ids: Annotated[list[str], Meta(min_length=1, max_length=LIMIT_MAX)] | None = None
    against: Against = Against()
    similarity: Similarity | None = None
    judge: Judge | None = None  # says which answers are better
    concurrency: Annotated[int, Meta(ge=1, le=64)] = 4  # requests at once
    rows: Annotated[int, Meta(ge=0, le=1_000)] = 100  # in the result, those that differ most
    texts: bool = False  # the rows hold how the answers begin


def check(args: Args, key: Key, gateway: Gateway) -> None:
    """Raises PermissionDenied, ModelNotFound, InvalidValue."""
    if not key.admin:
        raise PermissionDenied(
            "Recordings hold what callers wrote, so this needs an admin key. Make one: gatemill keys"
            " create NAME --admin."
        )
    if args.filter is not None and args.request_ids is not None:
        raise InvalidValue("`request_ids`: send these or `filter`, not both.", param="request_ids")
    if args.filter is not None:
        _sieve(args.filter, 0.0)
    wrong = sorted(OWN_FIELDS & (args.against.params or {}).keys())
    if wrong:
        raise InvalidValue(
            f"`against.params.{wrong[0]}`: is no parameter. Another model is `against.model`, another"
            " prompt `against.prompt`.",
            param=f"against.params.{wrong[0]}",
        )
    for name, is_wanted in (("texts", args.texts), ("judge", args.judge is not None)):
        if is_wanted and _most(args) > TEXTS_MAX:
            raise InvalidValue(
                f"`{name}`: is for at most {TEXTS_MAX} requests. Lower `filter.limit`.", param=name
            )
    for one in (args.against, args.similarity, args.judge):
        if one is not None and one.model:
            check_model(gateway, key, one.model)


async def run(ctx: Context, args: Args) -> Any:
    """The summary, the rows that tell most, tokens of the replay; see `replaying.Summary`."""
    ids: list[str] = await ctx.step("select", lambda: _selected(ctx, args), list[str])
    fan = Fan(ctx, len(ids), args.concurrency)
    work = _Work(ctx, fan, args)
    found = await fan.run(ids, "request.{}".format, work.one, work.failure)
    rows = [msgspec.json.decode(each, type=Row) for kept in found for each in kept.rows]
    verdicts, judge, usage = await _judged(ctx, args, rows)
    rows = [replaying.bare(row, verdicts.get(row.request_id), texts=args.texts) for row in rows]
    return {
        "object": "replay",
        "against": args.against,
        "selected": len(ids),
        **msgspec.structs.asdict(replaying.summed(rows)),
        "judge": judge,
        "usage": fan.usage + usage,
        "rows": replaying.telling(rows, args.rows),
    }


async def _judged(
    ctx: Context, args: Args, rows: list[Row]
) -> tuple[dict[str, str], judging.Summary | None, Tokens]:
    """Which answer is better, by the request's id; all together; what judging used."""
    if args.judge is None:
        return {}, None, Tokens()
    told = [row for row in rows if row.texts is not None]
    # Nobody has to be asked which of two equal answers is better.
    found = [judging.Row(row.request_id, "tie", ("tie", "tie")) for row in told if row.equal]
    pairs = [
        judging.Pair(row.request_id, row.prompt, row.texts[1], row.texts[0])
        for row in told
        if row.texts is not None and not row.equal
    ]
    fan = Fan(ctx, len(pairs), args.concurrency)
    found += await judging.judged(fan, args.judge, pairs)
    verdicts = {row.id: _VERDICTS[row.winner] for row in found if row.winner}
    return verdicts, judging.summary(found, args.judge), fan.usage


class _Work:
    """What the requests of one attempt share."""

    def __init__(self, ctx: Context, fan: Fan, args: Args) -> None:
        self._ledger = ctx.services.ledger
        self._fan = fan
        self._args = args

    async def one(self, request_id: str) -> Kept:
        """The row of one request. Raises GatemillError."""
        try:
            recording = await self._ledger.recordings.get(request_id)
        except NotFound:  # deleted meanwhile, or never there
            return _kept(Row(request_id, skipped="not recorded"))
        if recording.error:
            return _kept(
                Row(request_id, recording.operation, skipped="failed when it was recorded")
            )
        operation = recording.operation
        before = said.whole(operation, recording.answer, streamed=recording.streamed)
        if before is None:
            return _kept(Row(request_id, operation, skipped="its recorded answer is not whole"))
        try:
            return await self._asked(recording, said.said(operation, before))
        except UnsupportedOperation as error:  # of this format; others may fare better
            return _kept(Row(request_id, operation, recording.model, error=problem_of(error)))

    def failure(self, request_id: str, problem: Problem) -> list[Any]:
        """The rows of a request that nobody answers."""
        return [Row(request_id, error=problem)]

    async def _asked(self, recording: Recording, before: Said) -> Kept:
        args, operation = self._args, recording.operation
        body = replaying.body_of(recording, args.against)
        reply = await self._fan.reply(operation, body, cache_control=_FRESH)
        whole = said.whole(operation, reply.body, streamed=False)
        if whole is None:
            raise UpstreamBadReply("The provider's answer is not what its API defines.")
        sides = before, said.said(operation, whole)
        tokens = tokens_of(operation, reply.body)
        rows = await self._ledger.reports.request(recording.request_id)
        used = (
            replaying.used_then(rows, recording),
            replaying.used_now(reply, (tokens.prompt_tokens, tokens.completion_tokens)),
        )
        attempts = reply.call.attempts
        target = attempts[-1].target.label if attempts else reply.call.label
        row = replaying.compared(recording, sides, used, target)
        if args.similarity is not None:
            row = replace(row, similarity=await self._similarity(args.similarity.model, sides))
        if args.judge is not None or args.texts:
            chars = replaying.JUDGED_CHARS if args.judge is not None else replaying.EXCERPT_CHARS
            row = replaying.with_texts(row, recording, sides, chars)
        return _kept(row, tokens)

    async def _similarity(self, model: str, sides: tuple[Said, Said]) -> float | None:
        texts = [side.text for side in sides]
        if not all(texts):
            return None
        if texts[0] == texts[1]:
            return 1.0
        body = msgspec.json.encode({"model": model, "input": texts})
        return replaying.cosine(await self._fan.ask("embeddings", body))


async def _selected(ctx: Context, args: Args) -> list[str]:
    """The ids of the requests to ask again, each once."""
    await _settled(ctx)
    if args.request_ids is not None:
        return list(dict.fromkeys(args.request_ids))
    wanted = args.filter or Filter()
    sieve = _sieve(wanted, ctx.now_s())
    found: list[str] = []
    while len(found) < wanted.limit:
        few = min(_PAGE, wanted.limit - len(found))
        page = await ctx.services.ledger.recordings.listed(sieve, few, found[-1] if found else "")
        found += [one.request_id for one in page]
        if len(page) < few:
            break
    return found


async def _settled(ctx: Context) -> None:
    """Recordings and rows of usage, which come a moment after their answers, are in the database."""
    services = ctx.services
    if services.gateway.recorder is not None:
        await services.gateway.recorder.flushed()
    await services.ledger.flushed()


def _sieve(said_: Filter, now_s: float) -> Sieve:
    """Raises InvalidValue for what is no moment."""
    return Sieve(
        since_s=_moment_s(said_.since, now_s, 0.0, "filter.since"),
        until_s=_moment_s(said_.until, now_s, EVER_S, "filter.until"),
        key=said_.key,
        model=said_.model,
        operation=said_.operation,
        ended="ok",
    )


def _moment_s(said_: _Moment, now_s: float, default_s: float, param: str) -> float:
    if said_ is None:
        return default_s
    return float(said_) if isinstance(said_, int | float) else moment_s(said_, now_s, param)


def _most(args: Args) -> int:
    if args.request_ids is not None:
        return len(args.request_ids)
    return (args.filter or Filter()).limit


def _kept(row: Row, usage: Tokens | None = None) -> Kept:
    failed = row.error is not None
    return Kept((msgspec.Raw(msgspec.json.encode(row)),), usage or Tokens(), int(failed))
