"""The files that a batch ends with. Rule: made anew by each attempt; only the one that ends the batch shows them."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gatemill.core.job import Problem
from gatemill.jobs.batching.survey import lines
from gatemill.jobs.eventlog import Lost
from gatemill.ledger.batches import End
from gatemill.ledger.files import Label
from gatemill.wire import batch as wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from gatemill.core.job import Full
    from gatemill.jobs.batching.words import Span
    from gatemill.jobs.context import Context
    from gatemill.ledger.batches import Batch
    from gatemill.ledger.files import Draft
    from gatemill.wire.batch import Line

READ_RESULTS = 50  # at a time
_EXPIRED = Problem("batch_expired", "The completion window ended before this request was made.")
_CANCELLED = Problem("batch_cancelled", "The batch was cancelled before this request was made.")
_FAULT = Problem("internal_error", "This is our fault, not yours. Send the request again.")
_problem = msgspec.json.Decoder(Problem)


class Written(Struct):
    """What stands in the two files so far."""

    output: Draft | None = None
    errors: Draft | None = None
    failed: int = 0
    expired: int = 0


async def assemble(ctx: Context, batch: Batch, parts: Sequence[tuple[Span, Full]]) -> None:
    """The batch has ended, and its files are there. Raises Lost."""
    assembly = _Assembly(ctx, batch)
    try:
        await assembly.write(parts)
        await assembly.end()
    finally:
        await assembly.close()


class _Assembly:
    def __init__(self, ctx: Context, batch: Batch) -> None:
        self._ctx = ctx
        self._batch = batch
        self._files = ctx.services.ledger.files
        self._written = Written()
        self._ended = False

    async def write(self, parts: Sequence[tuple[Span, Full]]) -> None:
        """Every line of the input has become a line of one of the files, in the same order."""
        content = self._files.content(self._batch.input_file_id)
        async with aclosing(lines(content)) as found:
            for span, part in parts:
                why = self._why(part)
                results = self._results(span)
                async with aclosing(results):
                    known = await anext(results, None)
                    while (line := await anext(found, None)) is not None:
                        if known is not None and known[0] == line.number:
                            await (self._answer if known[1] else self._error)(known[2])
                            known = await anext(results, None)
                        else:
                            await self._miss(line, why)
                        if line.number >= span.last:
                            break
                self._ctx.progress(span.last)

    async def end(self) -> None:
        """The batch has ended. Raises Lost."""
        ledger, batch, written = self._ctx.services.ledger, self._batch, self._written
        drafts = [draft for draft in (written.output, written.errors) if draft is not None]
        for draft in drafts:
            await draft.flush()
        await ledger.flushed()  # the cost is that of all rows, the last ones too
        end = End(
            status=self._status(),
            output_file_id=written.output.id if written.output else "",
            error_file_id=written.errors.id if written.errors else "",
            failed=written.failed,
            cost_microusd=await ledger.jobs.cost(self._ctx.job.id),
            keep_s=max(batch.output_keep_s, self._ctx.services.amounts.file_keep_s),
        )
        labels = [(draft.id, self._label(draft)) for draft in drafts]
        if not await ledger.batches.end(self._ctx.claimed, batch.id, end, labels):
            raise Lost
        self._ended = True

    async def close(self) -> None:
        """What was written for nothing is gone."""
        if self._ended:
            return
        for draft in (self._written.output, self._written.errors):
            if draft is not None:
                await self._files.abandon(draft.id)

    def _status(self) -> str:
        if self._batch.status == "cancelling":
            return "cancelled"
        return "expired" if self._written.expired else "completed"

    def _label(self, draft: Draft) -> Label:
        kind = "output" if draft is self._written.output else "error"
        return Label("batch_output", f"{self._batch.id}_{kind}.jsonl", self._batch.output_keep_s)

    async def _results(self, span: Span) -> AsyncGenerator[tuple[int, bool, bytes], None]:
        batches, first = self._ctx.services.ledger.batches, span.first
        while True:
            some = await batches.results(self._batch.id, first, span.last, READ_RESULTS)
            for each in some:
                yield each
            if len(some) < READ_RESULTS:
                return
            first = some[-1][0] + 1

    async def _answer(self, data: bytes) -> None:
        written = self._written
        written.output = written.output or await self._begin()
        await written.output.write(data)

    async def _error(self, data: bytes) -> None:
        written = self._written
        written.errors = written.errors or await self._begin()
        written.failed += 1
        await written.errors.write(data)

    async def _miss(self, line: Line, why: Problem) -> None:
        line_id = f"batch_req_{self._batch.id.removeprefix('batch_')}{line.number:06x}"
        self._written.expired += why is _EXPIRED
        await self._error(wire.unanswered(line_id, wire.custom_id(line), line.number, why))

    async def _begin(self) -> Draft:
        file_id = f"file-{self._ctx.services.new_id().removeprefix('job_')}"
        return await self._files.begin(file_id, self._batch.owner, None)

    def _why(self, part: Full) -> Problem:
        """Why lines of this part have no result, where they have none."""
        job = part.job
        if job.state == "dead":
            return _FAULT if job.error is None else _problem.decode(job.error)
        if job.state == "cancelled" or self._batch.status == "cancelling":
            return _CANCELLED
        if job.state == "expired" or self._ctx.now_s() >= self._batch.expires_at:
            return _EXPIRED
        return _FAULT
