"""An OpenAI batch: its file is read, its lines go out in parts, its output is made.

Rule: runs twice and may run any number of times; each run finds in the ledger what is done already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gatemill.core.job import LOW
from gatemill.jobs.batching.output import assemble
from gatemill.jobs.batching.survey import survey
from gatemill.jobs.batching.words import BATCH, PART, BatchArgs, PartArgs
from gatemill.jobs.context import Parts
from gatemill.jobs.eventlog import Lost
from gatemill.ledger.batches import End

if TYPE_CHECKING:
    from gatemill.core.job import NewJob
    from gatemill.jobs.batching.words import Span
    from gatemill.jobs.context import Context
    from gatemill.ledger.batches import Batch

NAME = BATCH
QUEUE = "batch"
PRIORITY = LOW
ATTEMPTS_MAX = 10
TIMEOUT_S = 3_600.0
HIDDEN = True

Args = BatchArgs

_part_args = msgspec.json.Decoder(PartArgs)


async def run(ctx: Context, args: BatchArgs) -> Any:
    """How the batch ended. Raises Parts on the way."""
    batches = ctx.services.ledger.batches
    batch = await batches.get(args.batch_id, "")
    if batch.ended_at is None:
        if not ctx.job.parts:
            await _begin(ctx, batch, args.key_id)
        else:
            await _end(ctx, batch)
    await batches.forget_results(batch.id)
    batch = await batches.get(args.batch_id, "")
    return {"batch_id": batch.id, "status": batch.status}


async def _begin(ctx: Context, batch: Batch, key_id: str) -> None:
    """The file is unusable and the batch has failed; otherwise raises Parts."""
    ledger, amounts = ctx.services.ledger, ctx.services.amounts
    found = await survey(
        ledger.files.content(batch.input_file_id),
        batch.endpoint,
        amounts.batch_lines_max,
        amounts.batch_part_lines,
    )
    if found.problems:
        end = End(status="failed", errors=found.problems, keep_s=amounts.file_keep_s)
        if not await ledger.batches.end(ctx.claimed, batch.id, end):
            raise Lost
        return
    if not await ledger.batches.begin(ctx.claimed, batch.id, found.total):
        raise Lost
    raise Parts(
        [_part(ctx, batch, key_id, number, span) for number, span in enumerate(found.spans)]
    )


def _part(ctx: Context, batch: Batch, key_id: str, number: int, span: Span) -> NewJob:
    part = ctx.part(PART, PartArgs(batch.id, span), number, expires_at=batch.expires_at)
    return msgspec.structs.replace(part, key_id=key_id)


async def _end(ctx: Context, batch: Batch) -> None:
    batches = ctx.services.ledger.batches
    if not await batches.finalize(ctx.claimed, batch.id):
        raise Lost
    parts = [(_part_args.decode(part.args).span, part) for part in await ctx.parts()]
    await assemble(ctx, await batches.get(batch.id, ""), parts)
