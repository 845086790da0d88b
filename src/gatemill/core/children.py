"""Child processes. Rule: the only place that starts one from the event loop; none is forgotten."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any


async def start(*command: str, **options: Any) -> asyncio.subprocess.Process:
    """As asyncio.create_subprocess_exec, whose cancellation leaves a process that nobody waits for.

    Called off, it has ended here before the cancellation goes on. Raises OSError.
    """
    starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*command, **options))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting])
        if starting.exception() is None:
            child = starting.result()
            with suppress(ProcessLookupError):  # it has ended by itself
                child.kill()
            await child.wait()
        raise
