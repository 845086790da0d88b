"""A kind of job that waits. Rule: it costs nothing, so that what is measured is ours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from gatemill.jobs.context import Context

NAME = "bench.wait"
QUEUE = "bench"


class Args(Struct, frozen=True, forbid_unknown_fields=True):
    """For how long."""

    seconds: Annotated[float, Meta(ge=0, le=600)] = 0.0


async def run(ctx: Context, args: Args) -> Any:
    """The seconds."""
    await asyncio.sleep(args.seconds)
    return args.seconds
