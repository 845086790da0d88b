"""The lines of one part of a batch: asked some at once, kept as they come.

Rule: what cannot be asked now waits and does not fail; what was answered is in the ledger within a quarter
of a second, and a part that runs again leaves it alone.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from typing import TYPE_CHECKING

from gatemill.core.errors import (
    DeadlineExceeded,
    GatemillError,
    LedgerUnavailable,
    Overloaded,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamRateLimited,
)
from gatemill.core.tasks import spawn
from gatemill.gateway.parts import Caller
from gatemill.gateway.pipeline import answer
from gatemill.jobs.batching.survey import lines
from gatemill.jobs.eventlog import Lost
from gatemill.jobs.runner import NOT_YET
from gatemill.ledger.batches import LineResult, Tokens
from gatemill.ledger.files import CHUNK_BYTES
from gatemill.policy.backoff import pause_s
from gatemill.wire import batch as wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from gatemill.core.call import Reply
    from gatemill.jobs.batching.words import Span
    from gatemill.jobs.context import Context
    from gatemill.ledger.batches import Batch
    from gatemill.wire.batch import Checked, Line

SAVE_S = 0.25  # the longest a result waits for company
SAVE_LINES = 100
SAVE_BYTES = 1 << 20
WAITING_BYTES_MAX = 16 << 20  # of results while the database is away; above it nothing is asked
ASKED_BYTES_MAX = 32 << 20  # of the lines under way; one is, in any case
TRIES = 3  # of a line whose provider fails, each with the gateway's own attempts
TRY_S = (1.0, 20.0)  # the pauses between them, doubling, from and to
REST_S = (0.5, 30.0)  # the same, of a part that is to wait
REST_S_MAX = 600.0  # what a provider may ask for
_WAITS = (*NOT_YET, UpstreamOverloaded, UpstreamRateLimited)


class Part:
    """One attempt at a part."""

    def __init__(
        self, ctx: Context, batch: Batch, span: Span, rng: Callable[[], float] = random.random
    ) -> None:
        """`rng` spreads the pauses."""
        self._ctx = ctx
        self._batch = batch
        self._span = span
        self._rng = rng
        self._kept = Kept(ctx, batch.id)
        self._operation = wire.ENDPOINTS[batch.endpoint]
        self._turn = asyncio.Lock()  # to take the next line
        self._room = asyncio.Condition()
        self._asked_bytes = 0
        self._done = 0
        self._rests = 0  # in a row
        self._rest_until_s = 0.0  # Unix time until which nothing is asked

    async def run(self) -> int:
        """The number of lines known now. Raises Lost, and what the first line with a fault raised."""
        services, span = self._ctx.services, self._span
        known = await services.ledger.batches.known_lines(self._batch.id, span.first, span.last)
        self._done = len(known)
        chunk, skip = divmod(span.start, CHUNK_BYTES)
        content = services.ledger.files.content(self._batch.input_file_id, chunk)
        self._ctx.save_rest = self._kept.save_all
        saving = spawn(self._kept.save_often(), "save-batch-results")
        try:
            async with aclosing(lines(content, span.first, span.start, skip)) as found:
                crew = (self._work(found, known) for _ in range(services.amounts.batch_concurrency))
                ends = await asyncio.gather(*crew, return_exceptions=True)
        finally:
            saving.cancel()
        await self._kept.save_all()
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return self._done

    async def _work(self, found: AsyncGenerator[Line, None], known: frozenset[int]) -> None:
        while (line := await self._next(found)) is not None:
            if line.number in known:
                continue
            size = len(line.data or b"")
            await self._enter(size)
            try:
                await self._settle(line)
            finally:
                await self._leave(size)
            self._ctx.progress(self._done)

    async def _next(self, found: AsyncGenerator[Line, None]) -> Line | None:
        async with self._turn:
            if self._is_over():
                return None
            line = await anext(found, None)
        return None if line is None or line.number > self._span.last else line

    async def _enter(self, size: int) -> None:
        async with self._room:
            await self._room.wait_for(
                lambda: not self._asked_bytes or self._asked_bytes + size <= ASKED_BYTES_MAX
            )
            self._asked_bytes += size

    async def _leave(self, size: int) -> None:
        async with self._room:
            self._asked_bytes -= size
            self._room.notify_all()

    def _is_over(self) -> bool:
        return self._ctx.now_s() >= self._batch.expires_at

    # --- One line --------------------------------------------------------------------------------

    async def _settle(self, line: Line) -> None:
        asked = wire.check(line, self._batch.endpoint)
        line_id = f"batch_req_{self._batch.id.removeprefix('batch_')}{line.number:06x}"
        if asked.problem is not None:
            said = wire.unanswered(line_id, asked.custom_id, line.number, asked.problem)
            result: LineResult | None = LineResult(line.number, succeeded=False, data=said)
        else:
            result = await self._result(line.number, line_id, asked)
        if result is not None:
            self._done += 1
            await self._kept.add(result)

    async def _result(self, number: int, line_id: str, asked: Checked) -> LineResult | None:
        """What became of the line; None when the time was over before anything did."""
        gateway, failures = self._ctx.services.gateway, 0
        while await self._rested():
            request_id = gateway.new_id(self._ctx.now_s())
            try:
                reply = await self._reply(request_id, asked.body)
            except GatemillError as error:
                if isinstance(error, _WAITS):
                    self._rest(error.retry_after_s)
                    continue
                failures += 1
                if failures < TRIES and isinstance(error, (UpstreamError, DeadlineExceeded)):
                    await asyncio.sleep(TRY_S[0] / 2 + pause_s(failures, *TRY_S, self._rng()))
                    continue
                said = wire.refused(line_id, asked, request_id, error)
                return LineResult(number, succeeded=False, data=said)
            self._rests = 0
            cost = reply.cost_microusd
            said = wire.answered(line_id, asked, request_id, reply.body, cost)
            used = Tokens(*wire.tokens(reply.body))
            return LineResult(number, succeeded=True, data=said, tokens=used)
        return None

    async def _reply(self, request_id: str, body: bytes) -> Reply:
        services, job = self._ctx.services, self._ctx.job
        await services.governor.turn()
        gateway = services.gateway
        caller = Caller(secret=job.key_id.encode(), started_s=gateway.now(), job_id=job.id)
        return await answer(gateway, self._operation, body, caller, request_id)

    def _rest(self, asked_s: float | None) -> None:
        """Nothing of the part is asked for a while."""
        now_s = self._ctx.now_s()
        if now_s < self._rest_until_s:
            return  # others heard it before
        self._rests += 1
        wait_s = max(REST_S[0], pause_s(self._rests, *REST_S, self._rng()), asked_s or 0.0)
        self._rest_until_s = now_s + min(wait_s, REST_S_MAX)

    async def _rested(self) -> bool:
        """Whether there is time left; waits until the part may ask again."""
        while not self._is_over():
            self._kept.check()
            wait_s = min(self._rest_until_s, self._batch.expires_at) - self._ctx.now_s()
            if wait_s <= 0:
                return True
            await asyncio.sleep(wait_s * (1 + self._rng() / 10))
        return False


class Kept:
    """Results on their way to the ledger, together."""

    def __init__(self, ctx: Context, batch_id: str) -> None:
        self._batches = ctx.services.ledger.batches
        self._claimed = ctx.claimed
        self._batch_id = batch_id
        self._results: list[LineResult] = []
        self._bytes = 0
        self._writing = asyncio.Lock()
        self._lost = False

    async def add(self, result: LineResult) -> None:
        """It is kept within about `SAVE_S`; waits while too much does. Raises Lost."""
        self._results.append(result)
        self._bytes += len(result.data)
        if len(self._results) >= SAVE_LINES or self._bytes >= SAVE_BYTES:
            await self.save_once()
            while self._bytes > WAITING_BYTES_MAX:
                await asyncio.sleep(SAVE_S)
                await self.save_once()
        self.check()

    def check(self) -> None:
        """Raises Lost when the claim has ended."""
        if self._lost:
            raise Lost

    async def save_often(self) -> None:
        """Saves every `SAVE_S`, until cancelled or lost."""
        while not self._lost:
            await asyncio.sleep(SAVE_S)
            await self.save_once()

    async def save_all(self) -> None:
        """Nothing waits any more. Raises Lost."""
        while self._results and not self._lost:
            if not await self.save_once():
                await asyncio.sleep(SAVE_S)
        self.check()

    async def save_once(self) -> bool:
        """Whether what waited is kept; what the database does not take now goes on waiting."""
        async with self._writing:
            results = self._results[:]
            if not results or self._lost:
                return True
            try:
                self._lost = not await self._batches.save(self._claimed, self._batch_id, results)
            except (LedgerUnavailable, Overloaded):
                return False
            # Only now: a save that is cancelled is done again, and counts nothing twice.
            del self._results[: len(results)]
            self._bytes -= sum(len(result.data) for result in results)
            return True
