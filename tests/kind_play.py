"""A kind of job that does what a test says: `ACTS` by name, which tests add to."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gatemill.jobs.context import Context

NAME = "play"
QUEUE = "inference"


class Args(Struct, forbid_unknown_fields=True):
    """Which act, and what it is given."""

    act: str
    seconds: float = 0.0
    text: str = ""


async def run(ctx: Context, args: Args) -> Any:
    """What the act gives."""
    return await ACTS[args.act](ctx, args)


async def sleep(ctx: Context, args: Args) -> Any:
    await asyncio.sleep(args.seconds)
    return {"attempt": ctx.job.attempt}


async def stay(ctx: Context, args: Args) -> Any:
    """Until there is the file that `text` names: other processes make it."""
    while True:
        if await asyncio.to_thread(Path(args.text).exists):
            return {"attempt": ctx.job.attempt}
        await asyncio.sleep(0.05)


async def die(ctx: Context, args: Args) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


ACTS: dict[str, Callable[[Context, Args], Awaitable[Any]]] = {
    "sleep": sleep,
    "stay": stay,
    "die": die,
}
