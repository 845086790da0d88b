"""A response in the background. Rule: one event of the provider's is one entry of the job's log."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from gatemill.core.errors import UpstreamInterrupted
from gatemill.wire import sse

if TYPE_CHECKING:
    from gatemill.jobs.context import Context

NAME = "response"
QUEUE = "inference"
HIDDEN = True  # POST /v1/responses makes them
MASKED = True
_OPERATION = "responses"
_ENDS = (b'"response.completed"', b'"response.incomplete"')


class Args(Struct, forbid_unknown_fields=True):
    """A request of the responses format, as it is to be sent."""

    body: Raw


class _Asked(Struct):
    stream: bool | None = None


class _End(Struct):
    type: str
    response: dict[str, Any] | None = None


_asked = msgspec.json.Decoder(_Asked)
_end = msgspec.json.Decoder(_End)


async def run(ctx: Context, args: Args) -> Any:
    """The response object; on the way its events, if it was asked for as a stream."""
    body = bytes(args.body)
    if not _asked.decode(body).stream:
        return msgspec.json.decode(await ctx.ask(_OPERATION, body))
    made: dict[str, Any] | None = None
    async with aclosing(ctx.stream(_OPERATION, body)) as events:
        async for event in events:
            await ctx.emit((event,))
            if any(mark in event for mark in _ENDS):
                made = _response_of(event) or made
    if made is None:
        raise UpstreamInterrupted("The provider's stream ended before the response did.")
    return made


def _response_of(event: bytes) -> dict[str, Any] | None:
    for _, data in sse.events(event):
        said = _end.decode(data)
        if said.type in ("response.completed", "response.incomplete"):
            return said.response
    return None
