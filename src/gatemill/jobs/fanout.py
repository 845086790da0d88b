"""Many calls of one job: a few at a time, each kept as a step, and patient where patience helps.

Rule: what has been answered is never asked again, whatever dies. An item that can never succeed fails
alone; a failure that may pass fails the attempt, once all other items have had their turn, so that
the next attempt has these alone to do. After the last attempt it is the item's, too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from gatemill.core.errors import (
    BudgetSpent,
    CircuitOpen,
    Draining,
    GatemillError,
    InvalidApiKey,
    LedgerUnavailable,
    LimitsUnavailable,
    ModelNotFound,
    Overloaded,
    PermissionDenied,
    PriceUnknown,
    QueueFull,
    RateLimited,
    UnsupportedOperation,
    UpstreamOverloaded,
    UpstreamQuotaSpent,
    UpstreamRateLimited,
)
from gatemill.core.gathering import gathered
from gatemill.core.job import Problem
from gatemill.jobs.context import Quit
from gatemill.jobs.runner import problem_of
from gatemill.wire import (
    chat,
    completions,
    embeddings,
    messages,
    moderations,
    predict,
    rerank,
    responses,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from gatemill.core.call import Reply, Usage
    from gatemill.core.ports import Surface
    from gatemill.jobs.context import Context

T = TypeVar("T")

CONCURRENCY_MAX = 64
WAIT_S_MIN, WAIT_S_MAX = 1.0, 60.0  # a longer one gives the slot back: the job is postponed
BUSY_S = 1.0  # who asks for no more does not know when there will be room
PATIENCE_S = 300.0  # without any answer in between; then the same

_WAITING_HELPS = (
    CircuitOpen,
    LimitsUnavailable,
    Overloaded,
    QueueFull,
    RateLimited,
    UpstreamOverloaded,
    UpstreamRateLimited,
)
# The next item would fail in the same way.
_OF_ALL = (
    BudgetSpent,
    Draining,
    InvalidApiKey,
    LedgerUnavailable,
    ModelNotFound,
    PermissionDenied,
    PriceUnknown,
    UnsupportedOperation,
    UpstreamQuotaSpent,
)
_SURFACES: dict[str, Surface] = {
    module.NAME: module
    for module in (chat, completions, embeddings, messages, predict, rerank, responses)
}
_SURFACES[moderations.NAME] = moderations.Moderations("")


class Tokens(Struct, frozen=True):
    """What calls used, in OpenAI's words."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        """Both together."""
        return Tokens(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.total_tokens + other.total_tokens,
        )


class Kept(Struct, frozen=True):
    """What became of an item, as its step keeps it."""

    rows: tuple[Raw, ...]  # of the result, in JSON
    usage: Tokens = Tokens()
    failed: int = 0  # rows that hold an error


class _Spoken(Struct):
    tokens_used: int = 0


_spoken = msgspec.json.Decoder(_Spoken)


class Fan:
    """The calls of one attempt of a job."""

    def __init__(
        self, ctx: Context, total: int, concurrency: int, bytes_max: int | None = None
    ) -> None:
        """`total` counts all items that `run` will be given; it is what progress is told of.

        `bytes_max` is the most that its rows may have, None what a result may have.
        """
        self._bytes_max = bytes_max
        self.usage = Tokens()
        self.failed = 0  # rows
        self._good = 0  # rows that are none of these
        self._ctx = ctx
        self._total = total
        self._concurrency = min(concurrency, CONCURRENCY_MAX)
        self._kept = 0  # items that have their step
        self._fresh = False  # some of them are new; before, progress would fall behind what it was
        self._bytes = 0  # of their rows
        tries = ctx.services.gateway.tries
        self._now, self._sleep, self._rng = tries.now, tries.sleep, tries.rng
        self._calm_s = 0.0  # monotonic: no call begins before
        self._running = 0  # calls
        self._allowed = float(self._concurrency)  # of them; less where somebody said: busy
        self._ended = asyncio.Event()  # one of them has
        self._hopeful_s = tries.now()  # monotonic: of the last answer
        # Why nothing more begins. What is under way ends as it would, because it is paid for.
        self._over: GatemillError | None = None

    async def run(
        self,
        items: Iterable[T],
        name: Callable[[T], str],
        make: Callable[[T], Awaitable[Kept]],
        failure: Callable[[T, Problem], list[Any]],
    ) -> list[Kept]:
        """What became of each item, in order.

        `make` answers an item, and `failure` gives its rows when it cannot be answered. Raises what is
        a failure of the whole job, and Quit when the result becomes too large.
        """
        listed = list(items)

        async def one(item: T) -> Kept:
            if self._over is not None:
                raise self._over
            try:
                kept: Kept = await self._ctx.step(
                    name(item), lambda: self._made(item, make, failure), Kept
                )
            except (*_OF_ALL, *_WAITING_HELPS) as error:
                self._over = self._over or error
                raise
            self._count(kept)
            return kept

        found = await gathered(one, listed, self._concurrency)
        if self._over is not None:
            raise self._over
        job = self._ctx.job
        for at, each in enumerate(found):
            if not isinstance(each, GatemillError):
                continue
            if job.attempt < job.attempts_max or not self._good:
                raise each
            found[at] = kept = _failed(failure(listed[at], problem_of(each)))
            self._count(kept)
        return [each for each in found if isinstance(each, Kept)]

    async def ask(self, operation: str, body: bytes) -> bytes:
        """The answer. Waits where that helps, and makes all other calls of the job wait, too.

        Raises GatemillError; one that would make it wait for long, too.
        """
        return await self._patient(lambda: self._ctx.ask(operation, body))

    async def reply(self, operation: str, body: bytes, *, cache_control: str = "") -> Reply:
        """The same, with what it cost and who gave it."""
        return await self._patient(
            lambda: self._ctx.reply(operation, body, cache_control=cache_control)
        )

    async def _patient(self, call: Callable[[], Awaitable[T]]) -> T:
        while True:
            await self._turn()
            self._running += 1
            try:
                answer = await call()
            except _WAITING_HELPS as error:
                self._wait(error)
            else:
                self._hopeful_s = self._now()
                self._allowed = min(self._concurrency, self._allowed + 1 / self._allowed)
                return answer
            finally:
                self._running -= 1
                self._ended.set()

    async def _turn(self) -> None:
        """A call may begin."""
        while True:
            if self._over is not None:
                raise self._over
            left_s = self._calm_s - self._now()
            if left_s > 0:
                await self._sleep(left_s)
            elif self._running < int(self._allowed):
                return
            else:
                self._ended.clear()
                await self._ended.wait()

    def _wait(self, error: GatemillError) -> None:
        asked_s = error.retry_after_s or 0.0
        now_s = self._now()
        if asked_s > WAIT_S_MAX or now_s - self._hopeful_s > PATIENCE_S:
            raise error
        self._ctx.progress(self._kept, self._total, f"waits: {error.code}")
        others = self._running - 1
        if others and asked_s <= BUSY_S:
            # Nobody knows when there is room again; the end of one of our own calls is a good guess.
            self._allowed = float(others)
            return
        wait_s = max(WAIT_S_MIN, asked_s) * (1 + self._rng() / 4)
        self._calm_s = max(self._calm_s, now_s + wait_s)

    async def _made(
        self,
        item: T,
        make: Callable[[T], Awaitable[Kept]],
        failure: Callable[[T, Problem], list[Any]],
    ) -> Kept:
        """Raises GatemillError for what may pass, and for what fails all."""
        self._fresh = True
        try:
            return await make(item)
        except GatemillError as error:
            if not is_of_item(error):
                raise
            return _failed(failure(item, problem_of(error)))

    def _count(self, kept: Kept) -> None:
        self._kept += 1
        self.usage += kept.usage
        self.failed += kept.failed
        self._good += len(kept.rows) - kept.failed
        self._bytes += sum(len(memoryview(row)) for row in kept.rows)
        self.check_size(self._bytes)
        if self._fresh or self._kept == self._total:
            self._ctx.progress(self._kept, self._total)

    def check_size(self, result_bytes: float) -> None:
        """Raises Quit when a result of so many bytes is not kept: no call is paid for nothing."""
        most = self._bytes_max or self._ctx.services.amounts.result_bytes
        if result_bytes > most:
            why = "an output file may have" if self._bytes_max else "jobs.result_bytes allows"
            remedy = "Split the job." if self._bytes_max else "Split the job, or raise it."
            words = f"The result would have about {int(result_bytes)} bytes; {why} {most}. {remedy}"
            raise Quit(Problem("result_too_large", words))


def _failed(rows: list[Any]) -> Kept:
    return Kept(tuple(Raw(msgspec.json.encode(row)) for row in rows), failed=len(rows))


def is_of_item(error: GatemillError) -> bool:
    """It will never pass, and other items need not meet it."""
    return error.retry is False and not isinstance(error, _OF_ALL)


def tokens_of(operation: str, answer: bytes) -> Tokens:
    """What an answer says that it used. Raises UpstreamBadReply."""
    surface = _SURFACES.get(operation)
    if surface is None:
        return Tokens(total_tokens=_spoken.decode(answer).tokens_used)
    usage: Usage | None = surface.usage(answer)
    if usage is None:
        return Tokens()
    return Tokens(usage.prompt, usage.completion, usage.prompt + usage.completion)


def row(**values: Any) -> Raw:
    """One row of a result. A value that is Raw is taken as it is."""
    return Raw(msgspec.json.encode(values))


def rows_of(kept: Iterable[Kept]) -> list[Raw]:
    """All rows, in order."""
    return [each for one in kept for each in one.rows]
