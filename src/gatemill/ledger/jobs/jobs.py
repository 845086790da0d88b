"""The jobs as the house sees them: submit, look, cancel, claim, finish, tidy up.

Rule: whatever changes a job passes through here, in one transaction, and is durable when it returns.
Changes that touch one job alone share their commits. Those that touch a family of jobs or the row of
a queue have transactions of their own, so that locks are held shortly and in one order.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from gatemill.core.errors import Conflict
from gatemill.core.job import FINAL
from gatemill.ledger.jobs import accepting, changing, claiming, ending, lanes, looking, upkeep
from gatemill.ledger.jobs.accepting import Accepting, AlreadyThereError, Counts, Room
from gatemill.ledger.jobs.changing import Replay
from gatemill.ledger.jobs.claiming import Claim, Claims
from gatemill.ledger.jobs.heart import Heart, Listener

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gatemill.core.clock import Clock
    from gatemill.core.errors import GatemillError
    from gatemill.core.job import (
        Attempted,
        Claimed,
        Full,
        Job,
        NewJob,
        Outcome,
        Progress,
        Ring,
        Want,
    )
    from gatemill.ledger.database import Database
    from gatemill.ledger.jobs.rows import Accepted, Depth, Filter, QueueLimit, Turned, WorkerRow
    from gatemill.ledger.place import Place
    from gatemill.ledger.reader import Reader
    from gatemill.ledger.writer import Writer

T = TypeVar("T")

TRIES = 3  # of a submission that others make at the same moment


class Jobs:
    """The jobs of an open ledger. Everything raises LedgerUnavailable and Overloaded.

    Where an `owner` is asked for, None is whoever may see every job; another owner's job is unknown.
    """

    def __init__(self, writer: Writer, reader: Reader, place: Place, clock: Clock) -> None:
        self._place = place
        self._share = writer.share
        self._submit = writer.submit
        self._read = reader.run
        self._clock = clock
        self._counts = Counts()
        self._claims = Claims()

    # --- Accepting and looking ------------------------------------------------------------------

    async def submit(self, new: Sequence[NewJob], owner_max: int, total_max: int) -> list[Accepted]:
        """All of these jobs are in the ledger, or none: some may have been, by their unique keys.

        `owner_max` is the most jobs of one owner that may not have ended, `total_max` that of all;
        other processes' jobs are seen within 2 s. Raises IdempotencyKeyReused, RateLimited and
        Overloaded.
        """
        room = Room(owner_max, total_max)
        for number in range(TRIES):
            asked = Accepting(new, room, again=number > 0)
            try:
                return await self._share(partial(self._accept, asked))
            except AlreadyThereError:
                continue
        raise Conflict("Another submission with this id is under way. Try again.", param="id")

    async def get(self, job_id: str, owner: str | None) -> Full:
        """One job. Raises NotFound."""
        return await self._read(lambda db: looking.full(db, job_id, owner))

    async def look(self, job_id: str, owner: str | None) -> tuple[Job, Progress | None]:
        """One job and how far it is, without what is long. Raises NotFound."""
        return await self._read(lambda db: looking.look(db, job_id, owner))

    async def attempts(self, job_id: str) -> list[Attempted]:
        """Every start of a job in their order; none for an unknown one."""
        return await self._read(lambda db: looking.attempts(db, job_id))

    async def listed(self, wanted: Filter, limit: int, after: str = "") -> list[Job]:
        """Jobs, the newest first; `after` is the id of the last one of the page before.

        Notifications are listed by their kind alone.
        """
        return await self._read(lambda db: looking.listed(db, wanted, limit, after))

    async def parts(self, job_id: str, limit: int, after: int = -1) -> list[Full]:
        """The parts of a job in their order, after a number."""
        return await self._read(lambda db: looking.parts(db, job_id, limit, after))

    async def cost(self, job_id: str) -> int | None:
        """Micro-dollars of all attempts made for a job and its parts; None: some price is unknown.

        Counts what is in the database; `Ledger.flushed` brings the rest there.
        """
        return await self._read(lambda db: looking.cost(db, job_id))

    async def costs(self, job_ids: Sequence[str]) -> dict[str, int | None]:
        """The same for each of these jobs."""
        return await self._read(lambda db: {each: looking.cost(db, each) for each in job_ids})

    async def events(self, job_id: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        """What a job said after a number, each with its own; numbers begin with 1."""
        return await self._read(lambda db: looking.events(db, job_id, after, limit))

    async def depths(self) -> list[Depth]:
        """Jobs that have not ended, by queue, priority and state."""
        return await self._read(lambda db: looking.depths(db, self._now_s()))

    async def workers(self) -> list[WorkerRow]:
        """Who runs jobs."""
        return await self._read(upkeep.workers)

    async def queues(self) -> dict[str, bool]:
        """Whether a queue is stopped, for the queues that have or had a limit or a pause."""
        return await self._read(looking.paused)

    async def waits(self, queue: str) -> bool:
        """Some job of the queue waits for a worker, and is due."""
        return await self._read(lambda db: looking.waits(db, queue))

    # --- Changing from outside ------------------------------------------------------------------

    async def cancel(self, job_id: str, owner: str | None) -> Job:
        """The job, which has ended; one that runs was told to stop. Raises NotFound."""
        return await self._alone(lambda db: changing.cancel(db, job_id, owner, self._now_s()))

    async def cancel_parts(self, parent_id: str) -> int:
        """The number of parts that have ended now, or that run and were told to stop."""
        return await self._alone(lambda db: changing.cancel_parts_of(db, parent_id, self._now_s()))

    async def replay(
        self,
        job_id: str,
        owner: str | None,
        *,
        args: bytes | None = None,
        priority: int | None = None,
    ) -> bool:
        """A dead letter begins again; False when it is none, or no more. Raises NotFound.

        It has its steps, unless it is given other arguments. Parts that did not succeed begin
        again too. A notification can be replayed after every end.
        """
        how = Replay(args, priority)
        return await self._alone(lambda db: changing.replay(db, job_id, owner, how, self._now_s()))

    async def purge(self, job_id: str, owner: str | None) -> bool:
        """A dead letter is gone with all that belongs to it; False when it is none. Raises NotFound."""
        return await self._alone(lambda db: changing.remove(db, job_id, owner, {"dead"}))

    async def delete(self, job_id: str, owner: str | None) -> bool:
        """A job that has ended is gone; False when it has not, or is a part. Raises NotFound."""
        return await self._alone(lambda db: changing.remove(db, job_id, owner, FINAL))

    async def pause(self, queue: str, *, paused: bool) -> None:
        """The queue starts no more jobs, or starts them again; in every process."""
        await self._alone(lambda db: lanes.pause(db, queue, stop=paused))

    # --- Workers --------------------------------------------------------------------------------

    async def enroll(self, worker: WorkerRow) -> None:
        """The worker may take jobs; its heart is to beat from now on."""
        await self._share(lambda db: upkeep.enroll(db, worker))

    async def leave(self, worker_id: str) -> None:
        """The worker takes no more jobs; those that it left running count as lost."""
        await self._share(lambda db: upkeep.leave(db, worker_id))

    async def claim(
        self,
        worker_id: str,
        wants: Sequence[Want],
        limits: Mapping[str, QueueLimit],
        claim: str,
        *,
        favour_oldest: bool = False,
    ) -> list[Claimed]:
        """Jobs for these wants, which run now; none for a worker that is not enrolled.

        `claim` is a fresh token; with the same one again, the jobs that run by it. With `favour_oldest` the first job for each want is the one that
        has waited longest, whatever its priority.
        """
        by = Claim(worker_id, claim, limits, self._now_s(), favour_oldest)
        limited = any(lanes.limited(limits, want.queue) for want in wants)
        run = self._alone if limited else self._shared
        return await run(lambda db: claiming.claim(db, self._claims, wants, by))

    async def claim_one(
        self, worker_id: str, job_id: str, limits: Mapping[str, QueueLimit], claim: str
    ) -> Claimed | None:
        """This job, which runs now; None when it does not wait, is not due, or may not start."""
        by = Claim(worker_id, claim, limits, self._now_s())
        run = self._alone if limits else self._shared
        return await run(lambda db: claiming.claim_one(db, job_id, by))

    async def claim_quarantined(self, worker_id: str, claim: str) -> list[Claimed]:
        """Jobs whose workers died: up to 20 that may be innocent, or else one alone."""
        by = Claim(worker_id, claim, {}, self._now_s())
        return await self._share(lambda db: claiming.claim_quarantined(db, by))

    async def finish(
        self, claimed: Claimed, outcome: Outcome, progress: Progress | None = None
    ) -> bool:
        """The outcome is in the ledger; False: the claim did not hold, and nothing was written.

        `progress` is the last one of the attempt, None when there is nothing new.
        """
        family = claimed.job.parent_id or claimed.job.parts
        run = self._alone if family else self._shared
        return await run(lambda db: ending.finish(db, claimed, outcome, progress, self._now_s()))

    async def step(self, claimed: Claimed, name: str, value: bytes) -> bool:
        """What the job did is kept for its next attempts; False when the claim does not hold."""
        return await self._share(lambda db: ending.keep_step(db, claimed, name, value))

    async def steps(self, job_id: str) -> dict[str, bytes]:
        """What a job has done, by name."""
        return await self._read(lambda db: looking.steps(db, job_id))

    async def append_events(self, claimed: Claimed, events: Sequence[bytes]) -> bool:
        """What the job said is kept, after all before; False when the claim does not hold."""
        return await self._share(lambda db: ending.append_events(db, claimed, events))

    def heart(
        self,
        worker_id: str,
        beat_s: float,
        on_cancel: Callable[[Sequence[str]], None],
        on_fenced: Callable[[], None],
    ) -> Heart:
        """The heart of a worker, not started. It calls back on the loop that starts it."""
        listener = Listener(on_cancel, on_fenced)
        return Heart(self._place, worker_id, beat_s, self._clock, listener)

    # --- Housekeeping: any process, all at once ---------------------------------------------------

    async def reap(self, spared: str = "") -> list[Turned]:
        """Jobs of workers that were silent for longer than their lease, or are gone: taken back.

        A worker names itself as `spared`. At most 500: with so many there may be more.
        """
        return await self._alone(lambda db: upkeep.reap(db, spared, self._now_s()))

    async def reap_dead_pids(self, host: str, alive: Callable[[int, int], bool]) -> list[Turned]:
        """The same at once, for workers of this host; `alive` is told pid and start of a process."""
        return await self._alone(lambda db: upkeep.reap_dead_pids(db, host, alive, self._now_s()))

    async def promote(self) -> int:
        """The number of jobs whose time has come; with 1000 there may be more."""
        return await self._share(lambda db: upkeep.promote(db, self._now_s()))

    async def expire(self) -> int:
        """The number of jobs that ended because they did not begin in time; with 500 there may be more."""
        return await self._alone(lambda db: upkeep.expire(db, self._now_s()))

    async def rerung(self, older_s: float, limit: int) -> list[Ring]:
        """Jobs that wait and of which no worker was told in the last `older_s` s; they count as told."""
        return await self._share(lambda db: upkeep.rerung(db, older_s, limit, self._now_s()))

    async def mark_rung(self, job_ids: Sequence[str]) -> None:
        """Workers were told of these jobs."""
        await self._share(lambda db: upkeep.mark_rung(db, job_ids, self._now_s()))

    async def retain(self) -> int:
        """The number of jobs deleted because their time to be read is over; with 200 there may be more."""
        return await self._alone(lambda db: upkeep.retain(db, self._now_s()))

    def _accept(self, asked: Accepting, database: Database) -> list[Accepted] | GatemillError:
        return accepting.accept(database, self._counts, asked, self._now_s())

    def _now_s(self) -> float:
        return self._clock.unix_s()

    async def _shared(self, work: Callable[[Database], T | GatemillError]) -> T:
        return await self._share(work)

    async def _alone(self, work: Callable[[Database], T | GatemillError]) -> T:
        def run(database: Database) -> T | GatemillError:
            with database.transaction():
                return work(database)

        found = await asyncio.wrap_future(self._submit(run))
        if isinstance(found, Exception):
            raise found
        return found
