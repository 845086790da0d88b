"""Inputs that wait for a thread are computed together, with others of about their length.

Rule: nothing waits for company unless it is told to; a queue has an end; every failure reaches
whoever waits. Measured: first come, first served loses half to padding, a timer half for a lone
caller (bench/serving.py compares).
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct

from gatemill.core.errors import InternalError, Overloaded
from gatemill.core.tasks import spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from gatemill.observe.metrics import Histogram

In = TypeVar("In")
Out = TypeVar("Out")
# A run costs as much as so many more tokens, for the weights have to be read once (MiniLM, float32
# and int8, one thread, 2026-11-21). Padding that costs more than that is not worth a run saved.
RUN_TOKENS = 12
LOOK_MAX = 256  # of those that wait, among which neighbours are looked for
_BUSY_RETRY_S = 1.0
_LEAVING = "This model is being unloaded."


class Batching(Struct, frozen=True):
    """How inputs share the threads."""

    workers: int  # batches computed at once
    batch_max: int = 16  # inputs
    # Of a batch, padding included; one input may have more. Beyond some hundred a batch saves nothing,
    # and its numbers no longer fit the cache: 16 x 192 tokens took 14 % longer than one by one.
    batch_tokens: int = 512
    batch_wait_s: float = 0.0  # how long a free thread waits for company; for GPUs
    waiting_max: int = 1024  # inputs; a single request may have more when nothing waits


class _Waiting(Struct, Generic[In, Out], eq=False):  # equal only to itself
    input: In
    length: int
    output: asyncio.Future[Out]


class Batcher(Generic[In, Out]):
    """One for each model."""

    def __init__(
        self,
        compute: Callable[[Sequence[In]], Sequence[Out]],
        threads: Executor,
        batching: Batching,
        sizes: Histogram,
    ) -> None:
        """`compute` runs in `threads`, and gives an output for each input."""
        self._compute = compute
        self._threads = threads
        self._batching = batching
        self._sizes = sizes
        self._queue: deque[_Waiting[In, Out]] = deque()  # the oldest first
        self._working = 0  # tasks of _work, at most batching.workers
        self._computing = 0  # of these, how many have a batch
        self._closed = False

    @property
    def waiting(self) -> int:
        """Inputs that no thread has taken yet."""
        return len(self._queue)

    async def run(self, inputs: Sequence[In], lengths: Sequence[int]) -> list[Out]:
        """An output for each input. Raises Overloaded, and whatever computing raised."""
        if self._closed:  # its caller was still at work on the text
            raise InternalError(_LEAVING)
        waiting = len(self._queue)
        if waiting and waiting + len(inputs) > self._batching.waiting_max:
            raise Overloaded(
                "This model's queue is full. Retry later.", retry_after_s=_BUSY_RETRY_S
            )
        loop = asyncio.get_running_loop()
        each: list[_Waiting[In, Out]] = [
            _Waiting(one, length, loop.create_future())
            for one, length in zip(inputs, lengths, strict=True)
        ]
        self._queue.extend(each)
        while self._working < min(self._batching.workers, len(self._queue)):
            self._working += 1
            spawn(self._work(), "batcher")
        return await asyncio.gather(*(one.output for one in each))

    def close(self) -> None:
        """Nobody waits any more: what no thread has taken fails, and whoever comes later."""
        self._closed = True
        while self._queue:
            one = self._queue.popleft()
            if not one.output.done():
                one.output.set_exception(InternalError(_LEAVING))

    async def _work(self) -> None:
        try:
            while self._queue:
                if self._batching.batch_wait_s and len(self._queue) < self._batching.batch_max:
                    await asyncio.sleep(self._batching.batch_wait_s)
                if batch := self._take():
                    await self._run(batch)
        finally:
            self._working -= 1

    async def _run(self, batch: list[_Waiting[In, Out]]) -> None:
        self._sizes.observe(len(batch))
        inputs = [one.input for one in batch]
        done = asyncio.get_running_loop().run_in_executor(self._threads, self._compute, inputs)
        self._computing += 1
        try:
            await asyncio.wait((done,))
        finally:  # also when this task is cancelled: nobody waits for ever
            self._computing -= 1
            _hand_out(batch, done)

    def _take(self) -> list[_Waiting[In, Out]]:
        """The oldest, and those that are cheaper with it; none where all callers have gone."""
        queue, batching = self._queue, self._batching
        while queue and queue[0].output.done():
            queue.popleft()
        if not queue:
            return []
        # What waits is shared among the threads that are free, as this one is.
        free = batching.workers - self._computing
        count_max = min(batching.batch_max, -(-len(queue) // free))
        first = queue[0]
        seen = [one for one in islice(queue, LOOK_MAX) if not one.output.done()]
        batch, longest = [first], first.length
        for one in sorted(seen[1:], key=lambda one: abs(one.length - first.length)):
            reach = max(longest, one.length)
            padded = reach * (len(batch) + 1)
            more = padded - longest * len(batch)
            if len(batch) >= count_max or more > one.length + RUN_TOKENS:
                break
            if padded <= batching.batch_tokens:
                batch.append(one)
                longest = reach
        taken = set(batch)
        rest = [one for one in seen if one not in taken]
        for _ in range(min(LOOK_MAX, len(queue))):
            queue.popleft()
        queue.extendleft(reversed(rest))
        return batch


def _hand_out(batch: list[_Waiting[In, Out]], done: asyncio.Future[Sequence[Out]]) -> None:
    error: BaseException | None = None
    outputs: Sequence[Out] = ()
    if not done.done() or done.cancelled():
        error = InternalError(_LEAVING)
    elif (error := done.exception()) is None:
        outputs = done.result()
        if len(outputs) != len(batch):
            error = InternalError("The model has lost an answer. This is our fault.")
    for index, one in enumerate(batch):
        if one.output.done():  # its caller has gone
            continue
        if error is not None:
            one.output.set_exception(error)
        else:
            one.output.set_result(outputs[index])
