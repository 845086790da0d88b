"""A kind of job that does what a test tells it: wait, count, fail."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec import Struct

from gatemill.core.errors import InvalidValue
from gatemill.core.job import Problem
from gatemill.jobs.context import Context, Quit

NAME = "held"
QUEUE = "held"


class Args(Struct, forbid_unknown_fields=True):
    """What it does before it ends."""

    count: int = 0  # of steps that it tells of
    waits: bool = False  # until it is cancelled
    says: tuple[str, ...] = ()  # events of its log
    fails: str = ""  # with this code
    odd: bool = False  # refused when it is handed in


def check(args: Args, key: Any, gateway: Any) -> None:
    if args.odd:
        raise InvalidValue("`odd`: must be false. Leave it out.", param="odd")


async def run(ctx: Context, args: Args) -> Any:
    for step in range(args.count):
        ctx.progress(step + 1, args.count, "counting")
    for text in args.says:
        await ctx.emit([b"data: " + text.encode() + b"\n\n"])
    if args.waits:
        await asyncio.Event().wait()
    if args.fails:
        raise Quit(Problem(args.fails, "It was told to fail."))
    return {"counted": args.count}
