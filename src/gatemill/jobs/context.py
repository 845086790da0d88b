"""What a job is given to work with.

Rule: whatever a job writes is fenced by its claim; a job whose claim has ended is stopped by `Lost`
and writes nothing.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from gatemill.core.errors import InvalidApiKey, InvalidValue, LedgerUnavailable, Overloaded
from gatemill.core.job import Progress
from gatemill.gateway.blocks import blocks_of
from gatemill.gateway.identify import identify
from gatemill.gateway.parts import Caller
from gatemill.gateway.pipeline import answer
from gatemill.jobs.eventlog import EventLog, Lost
from gatemill.jobs.making import new_job, scope_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from gatemill.core.call import Key, Reply
    from gatemill.core.job import Claimed, Full, Job, NewJob, Problem
    from gatemill.jobs.services import Services

KEEP_S = 30.0  # how long a step is offered to a database that does not take it
KEEP_PAUSE_S = 0.5
PARTS_READ = 500  # of a job's parts, at a time


class Parts(Exception):
    """Raised by a kind: the job goes on, from its beginning and with its steps, when these end."""

    def __init__(self, parts: Sequence[NewJob]) -> None:
        super().__init__(f"{len(parts)} parts")
        self.parts = tuple(parts)


class Quit(Exception):
    """Raised by a kind: the job is a dead letter at once, for this reason."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class Context:
    """A running job's link to the world. One for each attempt."""

    def __init__(
        self,
        claimed: Claimed,
        services: Services,
        report: Callable[[Claimed, Progress], None] = lambda _claimed, _progress: None,
    ) -> None:
        """`report` takes the progress; it is cheap and never waits."""
        self.job: Job = claimed.job
        self.services = services
        self.latest: Progress | None = None  # read by the runner when the job ends
        self.claimed = claimed
        # Writes what a kind that failed or was stopped had not written; set by the kind, called
        # by the runner, which is not told to stop a second time. May raise Lost.
        self.save_rest: Callable[[], Awaitable[None]] | None = None
        self._report = report
        self._steps: dict[str, bytes] | None = None  # read when the first is asked for
        self._reading = asyncio.Lock()
        self._events = EventLog(self._append)

    def now_s(self) -> float:
        """Unix time."""
        return self.services.clock.unix_s()

    @property
    def key(self) -> Key:
        """The key on whose account the job runs.

        Raises InvalidApiKey when it has ended, and PermissionDenied when it may not have such jobs
        any more.
        """
        if not self.job.key_id:
            raise InvalidApiKey("This job is the house's own and has no key.")
        scope = scope_of(self.services.kinds.find(self.job.kind))
        return identify(self.services.gateway.keys, self.job.key_id.encode(), self.now_s(), scope)

    # --- Calls -----------------------------------------------------------------------------------

    async def ask(self, operation: str, body: bytes) -> bytes:
        """The complete answer, by the whole way of a request, on the account of the job's key.

        `operation` is the name of a surface: "chat", "embeddings" ... Raises GatemillError.
        """
        return (await self.reply(operation, body)).body

    async def reply(self, operation: str, body: bytes, *, cache_control: str = "") -> Reply:
        """The same, with what it cost and who gave it; never a stream. Raises GatemillError."""
        reply = await self._answer(operation, body, cache_control)
        if reply.stream is not None:
            reply.stream.abort()
            raise InvalidValue("A stream was asked for where one answer is meant.", param="stream")
        return reply

    async def stream(self, operation: str, body: bytes) -> AsyncGenerator[bytes, None]:
        """The events of a streamed answer, each whole and with its blank line; comments left out.

        Leaving the loop hangs up. Raises GatemillError, also between two events.
        """
        reply = await self._answer(operation, body)
        if reply.stream is None:
            raise InvalidValue("One answer was asked for where a stream is meant.", param="stream")
        async with aclosing(blocks_of(reply.stream)) as blocks:
            async for block in blocks:
                for event in block.split(b"\n\n"):
                    if event and not event.startswith(b":"):
                        yield event + b"\n\n"

    async def _answer(self, operation: str, body: bytes, cache_control: str = "") -> Reply:
        services = self.services
        assert self.key, "raises for a key that has ended"
        await services.governor.turn()
        gateway = services.gateway
        caller = Caller(
            secret=self.job.key_id.encode(),
            started_s=gateway.now(),
            cache_control=cache_control,
            job_id=self.job.id,
        )
        return await answer(gateway, operation, body, caller, gateway.new_id(self.now_s()))

    # --- What is kept ----------------------------------------------------------------------------

    def progress(self, current: int, total: int | None = None, note: str = "") -> None:
        """Whoever asks sees it within about a second. It never falls; costs next to nothing."""
        if self.latest is not None:
            current = max(current, self.latest.current)
        self.latest = Progress(current, total, note)
        self._report(self.claimed, self.latest)

    async def step(self, name: str, make: Callable[[], Awaitable[Any]], shape: Any = Any) -> Any:
        """What `make` gives, as JSON has it; made once in the life of the job, whatever dies.

        A later attempt gets what was kept. `shape` is the type to read it as; plain JSON by default.
        Raises Lost, LedgerUnavailable, Overloaded.
        """
        jobs = self.services.ledger.jobs
        async with self._reading:  # by many steps at once, only the first reads
            if self._steps is None:
                self._steps = await jobs.steps(self.job.id)
        kept = self._steps.get(name)
        if kept is None:
            kept = msgspec.json.encode(await make())
            if not await self._keep(name, kept):
                raise Lost
            self._steps[name] = kept
        return msgspec.json.decode(kept, type=shape)

    async def _keep(self, name: str, value: bytes) -> bool:
        # It may have been paid for: a database that is away for a moment does not make it undone.
        gateway = self.services.gateway
        given_up_s = gateway.now() + KEEP_S
        while True:
            try:
                return await self.services.ledger.jobs.step(self.claimed, name, value)
            except (LedgerUnavailable, Overloaded):
                if gateway.now() >= given_up_s:
                    raise
                await asyncio.sleep(KEEP_PAUSE_S)

    async def emit(self, events: Sequence[bytes]) -> None:
        """The events stand in the job's log, in order, within about 0.1 s.

        Raises Lost, LedgerUnavailable, Overloaded.
        """
        await self._events.add(events)

    async def flush(self) -> None:
        """All events stand in the log. Raises as `emit`."""
        await self._events.flush()

    def close(self) -> None:
        """The attempt is over."""
        self._events.close()

    async def _append(self, events: Sequence[bytes]) -> bool:
        kept = await self.services.ledger.jobs.append_events(self.claimed, events)
        self.services.news.tell(self.job.id)
        return kept

    # --- Parts -----------------------------------------------------------------------------------

    def part(self, kind: str, args: Any, part: int, **more: Any) -> NewJob:
        """A part of this job, for `raise Parts(...)`. `more` are fields of NewJob."""
        job = self.job
        return new_job(
            self.services,
            kind,
            msgspec.json.encode(args),
            owner=job.owner,
            key_id=job.key_id,
            parent_id=job.id,
            part=part,
            notify=False,
            **{"priority": job.priority, "keep_s": job.keep_s, **more},
        )

    async def parts(self) -> list[Full]:
        """The parts of this job in their order; empty before `Parts` was raised."""
        found: list[Full] = []
        if not self.job.parts:
            return found
        after = -1
        while True:
            some = await self.services.ledger.jobs.parts(self.job.id, PARTS_READ, after)
            found.extend(some)
            if len(some) < PARTS_READ:
                return found
            after = some[-1].job.part
