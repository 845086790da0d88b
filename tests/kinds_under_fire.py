"""Kinds of jobs that the proofs run, loaded by name in the processes they start."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from gatemill.jobs.context import Context

NAME = "fire"
QUEUE = "inference"


class Args(Struct, forbid_unknown_fields=True):
    """How long it takes, the file it waits for, and whether it takes its worker with it."""

    seconds: float = 0.0
    until: str = ""
    kills: bool = False


async def run(ctx: Context, args: Args) -> Any:
    """A token that no other run of any job has."""
    if args.kills:
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(args.seconds)
    while True:
        if not args.until or await asyncio.to_thread(Path(args.until).exists):
            break
        await asyncio.sleep(0.05)
    return {"token": secrets.token_hex(8), "attempt": ctx.job.attempt}
