"""Requests from a queue or a topic become jobs, and their answers go to another.

Rule: a message is let go of when its job is in the ledger, and the job ends when the answer is with the
broker; the message's id makes both happen once, as far as a reader of the answers looks at it.

This is a kind of job, known only to processes of `gatemill consume`: they have the target.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw, Struct

from gatemill.core.errors import (
    ContentBlocked,
    GatemillError,
    GuardUnavailable,
    InvalidApiKey,
    InvalidRequest,
    LedgerUnavailable,
    Overloaded,
    RateLimited,
)
from gatemill.core.job import STREAM, Problem, Ring, owner_of
from gatemill.dispatch.stream import BODY_BYTES_MAX, Away, TooLarge
from gatemill.gateway import aside
from gatemill.gateway.identify import identify
from gatemill.jobs.answering import answered
from gatemill.jobs.checking import Operation, check_request
from gatemill.jobs.making import new_job
from gatemill.jobs.runner import NOT_YET, problem_of
from gatemill.jobs.submission import placed
from gatemill.ledger.upkeep import Condition
from gatemill.ledger.writer import POLL_S
from gatemill.wire import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatemill.core.call import Key
    from gatemill.core.job import NewJob
    from gatemill.dispatch.stream import Arrived, Source, Target
    from gatemill.jobs.context import Context
    from gatemill.jobs.services import Services

NAME = STREAM
QUEUE = "stream"  # of a named stream: stream-NAME
HIDDEN = True
MARGIN_S = 5.0  # of the time for an attempt, in which to say that it was too short
ID_CHARS_MAX = 200  # of a message
PAUSE_S = 1.0  # before the ledger is asked again
_AWAY = "The broker that takes the answers is away."
_TOO_LARGE = Problem(
    "result_too_large", "The broker takes no message of this size. The job has the answer."
)
_FULL = (LedgerUnavailable, Overloaded, RateLimited)  # the message waits, it is not refused


class Args(Struct, frozen=True):
    """A request, and the message that it came in."""

    message_id: str
    operation: Operation
    body: Raw


class Request(Struct, frozen=True):
    """What a message says. Unknown fields are let pass: a message has other readers."""

    body: Raw
    operation: Operation = "chat"
    key: str | None = None  # the secret of a key, in the place of the stream's own
    id: str = ""  # where the broker gives none


_request = msgspec.json.Decoder(Request)


class Outlet:
    """Where the answers of a process go."""

    def __init__(self) -> None:
        self._target: Target | None = None  # None while the broker is away
        self._failed = asyncio.Event()

    async def use(self, target: Target) -> None:
        """Answers go there, until one has failed to."""
        self._target = target
        self._failed.clear()
        try:
            await self._failed.wait()
        finally:
            self._target = None

    async def send(self, message_id: str, body: bytes) -> None:
        """The answer is with the broker. Raises Overloaded while the broker is away, and TooLarge."""
        target = self._target
        if target is None:
            raise Overloaded(_AWAY)
        try:
            await target.send(message_id, body)
        except Away as away:
            self._failed.set()
            raise Overloaded(_AWAY) from away


outlet = Outlet()


async def run(ctx: Context, args: Args) -> Any:
    """The answer, which stands at the target. It is asked for once, and sent until it has arrived."""
    said = await ctx.step("answer", lambda: _answer(ctx, args))
    try:
        await _send(ctx, args, said)
    except TooLarge:
        await _send(ctx, args, {"status": "failed", "error": _TOO_LARGE})
    return said


async def _send(ctx: Context, args: Args, said: dict[str, Any]) -> None:
    body = msgspec.json.encode({"id": args.message_id, "job_id": ctx.job.id, **said})
    await outlet.send(args.message_id, body)


async def _answer(ctx: Context, args: Args) -> dict[str, Any]:
    """What becomes of the request. Raises GatemillError while another attempt may do better."""
    job = ctx.job
    is_last = job.attempt >= job.attempts_max
    patience_s = max(job.timeout_s / 2, job.timeout_s - MARGIN_S)
    try:
        async with asyncio.timeout(patience_s):
            answer = await answered(ctx, args.operation, bytes(args.body))
    except GatemillError as error:
        if isinstance(error, NOT_YET) or (error.retry is not False and not is_last):
            raise
        return {"status": "failed", "error": problem_of(error)}
    except TimeoutError:
        if not is_last:
            raise
        words = f"No attempt was answered in {patience_s:g} s."
        return {"status": "failed", "error": Problem("job_timeout", words)}
    return {"status": "succeeded", "answer": answer}


class Stream(Struct, frozen=True):
    """Which jobs a message becomes."""

    name: str
    key_id: str  # on whose account, where the message brings no key
    priority: int

    @property
    def queue(self) -> str:
        """Of its jobs: only the processes of this stream take them."""
        return f"{QUEUE}-{self.name}"


class Intake:
    """Puts messages into the ledger, or among the dead letters."""

    def __init__(self, stream: Stream, services: Callable[[], Services]) -> None:
        self.accepted = 0  # these three are for whoever watches; they grow only
        self.repeated = 0
        self.buried = 0
        self._stream = stream
        self._services = services
        self._taking = Condition("stream_intake")

    async def keep(self, source: Source, batch: Sequence[Arrived]) -> None:
        """Each message is in the ledger or buried; waits while neither can be. Raises Away."""
        await asyncio.gather(*(self._keep(source, message) for message in batch))

    async def _keep(self, source: Source, message: Arrived) -> None:
        is_strange = False
        while True:
            try:
                job = await self._job(message)
                await self._submit(job)
            except _FULL as error:
                self._taking.failed(error.message)
                await asyncio.sleep(max(PAUSE_S, error.retry_after_s or 0.0))
            except (GatemillError, _Poison) as error:
                if isinstance(error, InvalidApiKey) and not is_strange:
                    is_strange = True  # a key that was made just now is not known here yet
                    await asyncio.sleep(2 * POLL_S)
                    continue
                self.buried += 1
                await source.bury(message, _reason(error))
                return
            else:
                self._taking.works()
                return

    async def _submit(self, job: NewJob) -> None:
        services = self._services()
        amounts = services.amounts
        (found,) = await services.ledger.jobs.submit(
            [job], amounts.waiting_max_per_owner, amounts.waiting_max
        )
        self.accepted += found.created
        self.repeated += not found.created
        await services.ring([Ring(found.job.id, job.queue, job.priority)])

    async def _job(self, message: Arrived) -> NewJob:
        """Raises GatemillError, and _Poison for what is no request at all."""
        if len(message.body) > BODY_BYTES_MAX:
            raise _Poison(f"the message has more than {BODY_BYTES_MAX} bytes")
        request = fields.decode_head(_request, message.body)
        message_id = message.id or request.id
        if not 0 < len(message_id) <= ID_CHARS_MAX:
            raise _Poison(f"the message has no id of 1 to {ID_CHARS_MAX} characters")
        services = self._services()
        key = self._key(request)
        body = bytes(request.body)
        try:
            check_request(services.gateway, key, request.operation, body)
        except InvalidRequest as error:
            raise placed(error, "body") from None
        with suppress(
            ContentBlocked, GuardUnavailable
        ):  # its job fails, too, and its answer says so
            body = await aside.masked(services.gateway, key, request.operation, body)
        args = Args(message_id, request.operation, Raw(body))
        return new_job(
            services,
            NAME,
            msgspec.json.encode(args),
            queue=self._stream.queue,
            owner=owner_of(key),
            key_id=key.id,
            priority=self._stream.priority,
            unique_key=f"{self._stream.queue}:{message_id}",
            fingerprint=hashlib.sha256(message.body).hexdigest(),
            notify=False,
        )

    def _key(self, request: Request) -> Key:
        services = self._services()
        now_s = services.clock.unix_s()
        if request.key is not None:
            return identify(services.ledger, request.key.encode(), now_s)
        try:
            return identify(services.gateway.keys, self._stream.key_id.encode(), now_s)
        except InvalidApiKey as error:  # no fault of the message, which waits for a better key
            raise Overloaded(f"The stream's own key: {error.message}") from error


class _Poison(Exception):
    """A message that no retry will make better."""


def _reason(error: Exception) -> str:
    return f"{error.code}: {error.message}" if isinstance(error, GatemillError) else str(error)
