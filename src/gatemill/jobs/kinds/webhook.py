"""One notification of a webhook, tried until it arrives or three days have passed.

Rule: the id and the body are those of the row, at every try; time and signature are of the try. Only
2xx is success. What came back is kept as a status, never as text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.errors import (
    GatemillError,
    NotFound,
    Overloaded,
    UpstreamError,
    UpstreamOverloaded,
)
from gatemill.core.job import Problem
from gatemill.jobs.context import Quit
from gatemill.ledger import outbox
from gatemill.ledger.webhooks import REASON_GONE, Try
from gatemill.wire import webhook

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gatemill.jobs.context import Context
    from gatemill.ledger.webhooks import Recipient

NAME = outbox.KIND
QUEUE = outbox.QUEUE
HIDDEN = True
ATTEMPTS_MAX = outbox.ATTEMPTS_MAX
TIMEOUT_S = outbox.TIMEOUT_S
_MINUTE_S, _HOUR_S = 60.0, 3600.0
# As the standard advises: about 75 hours in all.
DELAYS_S = (
    5.0,
    5 * _MINUTE_S,
    30 * _MINUTE_S,
    2 * _HOUR_S,
    5 * _HOUR_S,
    10 * _HOUR_S,
    14 * _HOUR_S,
    20 * _HOUR_S,
    24 * _HOUR_S,
)
Args = outbox.Letter


async def run(ctx: Context, args: outbox.Letter) -> Try:
    """What the try came to that arrived."""
    services, webhooks = ctx.services, ctx.services.ledger.webhooks
    to = await _recipient(ctx, args)
    tried, failure = await _try(ctx, args, to)
    await ctx.step(f"try {tried.at:.3f}", _given(tried))
    if failure is None:
        if to.given_up:
            await webhooks.reached(args.endpoint)
        return tried
    if tried.status == 410:
        if args.endpoint:
            await webhooks.disable(args.endpoint, REASON_GONE)
        raise Quit(Problem("webhook_gone", failure.message))
    if args.endpoint and (ctx.job.attempt >= ctx.job.attempts_max or failure.retry is False):
        await webhooks.given_up(args.endpoint, services.amounts.webhook_disable_after)
    raise failure


async def _recipient(ctx: Context, args: outbox.Letter) -> Recipient:
    try:
        to = await ctx.services.ledger.webhooks.recipient(ctx.job.owner, args.endpoint)
    except NotFound:
        raise Quit(Problem("webhook_deleted", "The endpoint was deleted meanwhile.")) from None
    if to.disabled:
        raise Quit(Problem("webhook_disabled", "The endpoint is disabled. Enable it, then resend."))
    return to


async def _try(
    ctx: Context, args: outbox.Letter, to: Recipient
) -> tuple[Try, GatemillError | None]:
    """What came of it, and why it is no success. Raises Overloaded when nothing was sent yet."""
    clock = ctx.services.clock
    at_s, began_s = clock.unix_s(), clock.monotonic_s()
    body = args.body.encode()
    signed = webhook.headers(to.keys, ctx.job.id, at_s, body)
    status: int | None = None
    try:
        answered = await ctx.services.sender.post(ctx.job.owner, args.url or to.url, signed, body)
    except Overloaded:
        raise
    except GatemillError as error:
        failure: GatemillError | None = error
    else:
        status = answered.status
        failure = _failure(answered.status, answered.retry_after_s)
    took_ms = round((clock.monotonic_s() - began_s) * 1000)
    return Try(at_s, took_ms, status, failure.message if failure else ""), failure


def _failure(status: int, retry_after_s: float | None) -> GatemillError | None:
    words = f"The server answered {status}."
    if 200 <= status < 300:
        return None
    if status in (429, 503):
        return UpstreamOverloaded(words, retry_after_s=retry_after_s)
    return UpstreamError(words)


def _given(tried: Try) -> Callable[[], Awaitable[Try]]:
    async def make() -> Try:
        return tried

    return make
