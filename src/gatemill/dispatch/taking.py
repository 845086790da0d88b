"""What a message is worth to a worker. Rule: no claim is dropped half-way when an engine stops."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gatemill.core.tasks import spawn

if TYPE_CHECKING:
    from gatemill.core.job import Ring
    from gatemill.core.ports import Ears

PATIENCE_S = 2.0  # for a claim under way when nobody listens any more
_ID_CHARS_MAX = 128


async def take(ears: Ears, ring: Ring) -> None:
    """The worker has claimed the job, or nothing was to be done.

    One after the other: a claim takes milliseconds, and whatever waits for room here could not be
    overtaken by a more urgent message.
    """
    claim = spawn(ears.take(ring), "dispatch-claim")
    try:
        await asyncio.shield(claim)
    finally:
        if not claim.done():
            await asyncio.wait((claim,), timeout=PATIENCE_S)
            claim.cancel()


def job_id_of(text: str) -> str:
    """The id of a job, "" for what cannot be one."""
    is_one = len(text) <= _ID_CHARS_MAX and text.isascii() and text.startswith("job_")
    return text if is_one else ""
