"""What happens to a job, as it happens.

Rule: the ledger is asked, so that any process can tell of any job; word of this process only makes it
quicker. Whoever reads slowly holds nothing but a page of events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.core.errors import Draining, Overloaded
from gatemill.core.job import FINAL

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from gatemill.core.call import Key
    from gatemill.core.job import Job, Progress
    from gatemill.jobs.desk import Desk
    from gatemill.jobs.news import News

POLL_S = 0.5
LISTENERS_MAX = 256  # who follow jobs at once, in one process
_PAGE = 200  # events that are read at a time


class Said(Struct, frozen=True):
    """An entry of the job's event log."""

    number: int  # from 1
    event: bytes


def check_room(news: News) -> None:
    """Raises Overloaded where as many follow jobs as may."""
    if news.listeners >= LISTENERS_MAX:
        raise Overloaded(
            "Too many streams of jobs are open here. Ask for the job itself now and then.",
            retry_after_s=5,
        )


async def follow(
    desk: Desk, key: Key, job_id: str, after: int, closing: Callable[[], bool]
) -> AsyncGenerator[Job | Progress | Said, None]:
    """The job as it is, then each change of it, its progress, and its events after number `after`.

    It ends after the job has ended, which is the last that is told. Raises NotFound, at first or when
    the job is deleted, and Draining when `closing()`.
    """
    told: tuple[object, ...] = ()
    far: Progress | None = None
    with desk.news.of(job_id) as ear:
        while True:
            ear.forget()
            # First the state, then the events: what a job says stands in the log before it ends.
            job, progress = await desk.look(key, job_id)
            is_over = job.state in FINAL
            state = (job.state, job.attempt, job.cancel, job.lost)
            if state != told and not is_over:
                told = state
                yield job
            if job.started_at is not None:
                while page := await desk.events(job_id, after, _PAGE):
                    for number, event in page:
                        yield Said(number, event)
                    after = page[-1][0]
            if progress is not None and progress != far:
                far = progress
                yield progress
            if is_over:
                yield job
                return
            if closing():
                raise Draining("This server is shutting down. Connect again.", retry_after_s=1)
            await ear.wait(POLL_S)
