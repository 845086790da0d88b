"""A kind of job that waits for a word in a pipe, and fails unless that is `good`; for processes that tests start."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill.core.job import Problem
from gatemill.jobs.context import Quit

if TYPE_CHECKING:
    from gatemill.jobs.context import Context

NAME = "mended"
QUEUE = "inference"


class Args(Struct, forbid_unknown_fields=True):
    """The path of a pipe."""

    pipe: str


async def run(ctx: Context, args: Args) -> Any:
    """The word, where it is good. Raises Quit."""
    ctx.progress(1, 2, "listening")
    word = (await asyncio.to_thread(Path(args.pipe).read_text)).strip()
    if word != "good":
        raise Quit(Problem("broken", f"The word was {word}."))
    return {"word": word}
