"""A ledger with a clock of its own, and jobs in it that end, for tests of what follows."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gatemill.core.job import Failed, NewJob, Problem, Stopped, Succeeded, Want
from gatemill.ledger.jobs.rows import WorkerRow
from gatemill.ledger.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gatemill.core.clock import Clock
    from gatemill.core.job import Claimed, Job, Outcome
    from gatemill.ledger.place import Place

NOW_S = 1_763_700_000.0
OWNER = "team:a"
MOST = 1_000_000
WORKER = "worker_1"
_numbers = itertools.count(1).__next__


@asynccontextmanager
async def opened(
    folder: Path, place: Place, clock: Clock, pepper: bytes | None = None
) -> AsyncIterator[Ledger]:
    """A ledger with one worker enrolled, who never beats."""
    ledger = Ledger.open(folder, place.address, clock, pepper=pepper)
    try:
        await enroll(ledger, clock)
        yield ledger
        await ledger.jobs.leave(WORKER)
    finally:
        await ledger.close()


async def enroll(ledger: Ledger, clock: Clock) -> None:
    """The worker may take jobs, for ever."""
    row = WorkerRow(
        id=WORKER,
        host="here",
        pid=1,
        pid_started=1,
        queues=("inference", "webhooks"),
        slots=10,
        lease_s=1e9,
        started_at=clock.unix_s(),
        beat_at=clock.unix_s(),
    )
    await ledger.jobs.enroll(row)


def new_job(number: int, **fields: object) -> NewJob:
    said = {"kind": "echo", "queue": "inference", "args": b"{}", "owner": OWNER, "key_id": "k1"}
    return NewJob(id=f"job_{number:04}", **{**said, **fields})


async def submitted(ledger: Ledger, *new: NewJob) -> list[Job]:
    return [each.job for each in await ledger.jobs.submit(new, MOST, MOST)]


async def claimed(ledger: Ledger, queue: str = "inference") -> Claimed | None:
    """The next job of a queue, which runs now."""
    await ledger.jobs.promote()
    found = await ledger.jobs.claim(WORKER, [Want(queue, 1)], {}, f"claim_{_numbers()}")
    return found[0] if found else None


async def ended(ledger: Ledger, new: NewJob, outcome: Outcome) -> None:
    """The job was accepted, ran, and ended so."""
    await submitted(ledger, new)
    one = await claimed(ledger)
    assert one is not None
    assert one.job.id == new.id
    assert await ledger.jobs.finish(one, outcome)


# How they end.
GOOD = Succeeded(b'{"answer": 42}')
BAD = Failed(Problem("oops", "It went wrong."))
STOPPED = Stopped()
