"""Some lines of an OpenAI batch. Rule: lines whose results are known are not asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.core.job import LOW
from gatemill.jobs.batching.part import Part
from gatemill.jobs.batching.words import PART, PartArgs

if TYPE_CHECKING:
    from gatemill.jobs.context import Context

NAME = PART
QUEUE = "batch"
PRIORITY = LOW
TIMEOUT_S = 90_000.0  # 25 hours: the batch's own window ends before
HIDDEN = True


Args = PartArgs


async def run(ctx: Context, args: PartArgs) -> Any:
    """How many of its lines are known now; those that are not were not asked in time."""
    batch = await ctx.services.ledger.batches.get(args.batch_id, "")
    if batch.status != "in_progress":
        return {"lines": 0}
    return {"lines": await Part(ctx, batch, args.span).run()}
