"""One request as a job: asked once, or followed event by event.

Rule: the result is the complete answer, whether or not it was asked for as a stream.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from gatemill.core.errors import UpstreamBadReply
from gatemill.wire import fields, sse
from gatemill.wire.assembly import STREAMED, assembly

if TYPE_CHECKING:
    from gatemill.jobs.context import Context

RESTARTED = sse.event(b'{"type":"restarted"}', "restarted")
_WITH_USAGE = frozenset(("chat", "completions"))


class _Asked(Struct):
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None


_asked = msgspec.json.Decoder(_Asked)


async def answered(ctx: Context, operation: str, body: bytes) -> Any:
    """The complete answer. Of a stream, each event is an entry of the job's log.

    When an earlier attempt has spoken already, the first entry is `RESTARTED`: what came before it is
    void. A stream of chunks ends with its usage unless the body says otherwise. Raises GatemillError.
    """
    asked = _asked.decode(body)
    if not asked.stream or operation not in STREAMED:
        return Raw(await ctx.ask(operation, body))
    if operation in _WITH_USAGE and asked.stream_options is None:
        outer = fields.shallow(body)
        outer["stream_options"] = Raw(b'{"include_usage":true}')
        body = fields.encode(outer)
    whole = assembly(operation)
    speaks = False
    async with aclosing(ctx.stream(operation, body)) as events:
        async for event in events:
            if not speaks:
                speaks = True
                await _begin(ctx)
            await ctx.emit((event,))
            try:
                whole.add(event)
            except (msgspec.MsgspecError, KeyError, TypeError) as error:
                raise UpstreamBadReply(
                    "The provider's stream holds an event that its API does not define."
                ) from error
    return whole.whole()


async def _begin(ctx: Context) -> None:
    is_first = False

    async def first() -> bool:
        nonlocal is_first
        is_first = True
        return True

    await ctx.step("speaks", first)
    if not is_first:
        await ctx.emit((RESTARTED,))
