"""The end of an attempt, on its way to the ledger.

Rule: the ledger hears of it, however long its database is away, unless the claim ends first.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from gatemill.core.errors import LedgerUnavailable, Overloaded
from gatemill.core.job import (
    Again,
    Failed,
    Postponed,
    Problem,
    Released,
    Ring,
    Stopped,
    Succeeded,
    Waiting,
)
from gatemill.jobs.runner import again
from gatemill.policy.backoff import pause_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.job import Outcome
    from gatemill.jobs.counters import Counters
    from gatemill.jobs.runner import Run

_FIRST_S, _MOST_S = 0.1, 2.0  # between two tries
_FIELDS: dict[type[Outcome], str] = {
    Succeeded: "succeeded",
    Failed: "dead",
    Again: "retried",
    Postponed: "postponed",
    Released: "released",
    Stopped: "cancelled",
    Waiting: "waiting",
}


async def settle(
    one: Run, outcome: Outcome, counters: Counters, lease_s: float, rng: Callable[[], float]
) -> None:
    """The ledger has the outcome, or has refused it because the claim had ended.

    An outcome that it does not take within a lease is exchanged for a short one. Cancelled when
    nobody may write any more.
    """
    job = one.claimed.job
    services = one.services
    given_up_s = services.gateway.now() + lease_s
    tries = 0
    while True:
        try:
            kept = await services.ledger.jobs.finish(one.claimed, outcome, one.progress)
            break
        except (LedgerUnavailable, Overloaded) as error:
            tries += 1
            counters.commit_failures += 1
            if tries == 1:
                structlog.get_logger().error("job_end_not_kept_yet", job=job.id, code=error.code)
            if services.gateway.now() >= given_up_s and isinstance(outcome, Succeeded | Waiting):
                structlog.get_logger().error("job_result_dropped", job=job.id)
                counters.commits_dropped += 1
                outcome = again(one, _NOT_KEPT, rng())
            await asyncio.sleep(pause_s(tries, _FIRST_S, _MOST_S, rng()))
    counted = counters.kind(job.kind)
    if not kept:
        counted.refused += 1
        structlog.get_logger().warning("job_result_refused", job=job.id, why="its claim has ended")
        return
    name = _FIELDS[type(outcome)]
    setattr(counted, name, getattr(counted, name) + 1)
    by_queue = counters.queue(job.queue)
    by_queue.done += name == "succeeded"
    by_queue.dead += name == "dead"
    services.news.tell(job.id)
    if job.parent_id:
        services.news.tell(job.parent_id)
    if isinstance(outcome, Waiting):
        rings = [Ring(part.id, part.queue, part.priority) for part in outcome.parts]
        await services.ring(rings)


_NOT_KEPT = Problem("ledger_unavailable", "The database did not take the result in time.")
