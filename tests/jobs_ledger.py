"""Ledgers whose jobs a test moves by hand: the clock is a parameter, each ledger is like a process."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from gatemill.core.clock import FakeClock
from gatemill.core.job import Claimed, Job, NewJob, Problem, Want
from gatemill.ledger.jobs.jobs import Jobs
from gatemill.ledger.jobs.rows import Accepted, QueueLimit, WorkerRow
from gatemill.ledger.ledger import Ledger
from gatemill.ledger.place import Place

NOW_S = 1_763_700_000.0
LEASE_S = 30.0
QUEUE = "inference"
PEPPER = b"a pepper of thirty-two characters"
MANY = 1_000_000
OOPS = Problem("upstream_timeout", "The provider did not answer.")


class Site:
    """One database, one clock, and as many processes as a test opens."""

    def __init__(self, place: Place, folder: Path, stack: AsyncExitStack) -> None:
        self.place = place
        self.clock = FakeClock(NOW_S)
        self._folder = folder
        self._stack = stack
        self._numbers = itertools.count(1)

    async def ledger(self) -> Ledger:
        """Another process."""
        folder = self._folder / f"process-{next(self._numbers)}"
        folder.mkdir()
        opened = Ledger.open(folder, self.place.address, self.clock, pepper=PEPPER)
        self._stack.push_async_callback(opened.close)
        return opened

    async def jobs(self) -> Jobs:
        """The jobs of another process."""
        return (await self.ledger()).jobs

    def new(self, **fields: Any) -> NewJob:
        """A job; its id sorts after those made before."""
        number = next(self._numbers)
        made = {
            "id": f"job_{number:09}",
            "kind": "play",
            "queue": QUEUE,
            "args": b'{"n":%d}' % number,
            "owner": "team:core",
            "key_id": "abcdefghij",
        }
        return NewJob(**(made | fields))

    def token(self) -> str:
        """A fresh claim."""
        return f"claim-{next(self._numbers)}"


@asynccontextmanager
async def site(place: Place, folder: Path) -> AsyncIterator[Site]:
    """For as long as the block."""
    async with AsyncExitStack() as stack:
        yield Site(place, folder, stack)


def worker(worker_id: str, now_s: float = NOW_S, **fields: Any) -> WorkerRow:
    """A worker with a fresh sign of life."""
    made = {
        "id": worker_id,
        "host": "here",
        "pid": 7,
        "pid_started": 70,
        "queues": (QUEUE,),
        "slots": 10,
        "lease_s": LEASE_S,
        "started_at": now_s,
        "beat_at": now_s,
    }
    return WorkerRow(**(made | fields))


class Hand:
    """A worker that is led by hand."""

    def __init__(self, site: Site, jobs: Jobs, worker_id: str) -> None:
        self.id = worker_id
        self.jobs = jobs
        self._site = site

    @classmethod
    async def enrolled(cls, site: Site, jobs: Jobs, worker_id: str, **fields: Any) -> Hand:
        """It may take jobs."""
        await jobs.enroll(worker(worker_id, site.clock.unix_s(), **fields))
        return cls(site, jobs, worker_id)

    async def take(
        self,
        free: int = MANY,
        *,
        queue: str = QUEUE,
        priorities: tuple[int, ...] = (0, 1, 2),
        limit: QueueLimit | None = None,
        oldest: bool = False,
    ) -> list[Claimed]:
        """Jobs that run now."""
        limits = {} if limit is None else {queue: limit}
        wants = [Want(queue, free, priorities)]
        token = self._site.token()
        return await self.jobs.claim(self.id, wants, limits, token, favour_oldest=oldest)

    async def take_only(self) -> Claimed:
        """The only job that waits."""
        (claimed,) = await self.take()
        return claimed

    async def take_this(self, job_id: str, **limits: QueueLimit) -> Claimed | None:
        """One job."""
        return await self.jobs.claim_one(self.id, job_id, limits, self._site.token())


async def accept(jobs: Jobs, *new: NewJob) -> list[Job]:
    """They are in the ledger."""
    return [each.job for each in await submit(jobs, *new)]


async def submit(jobs: Jobs, *new: NewJob) -> list[Accepted]:
    """They are in the ledger, or were."""
    return await jobs.submit(new, MANY, MANY)


async def state(jobs: Jobs, job_id: str) -> str:
    """The state of a job."""
    return (await jobs.look(job_id, None))[0].state


def ids(found: list[Claimed] | list[Job]) -> list[str]:
    """The ids, in their order."""
    return [each.job.id if isinstance(each, Claimed) else each.id for each in found]
