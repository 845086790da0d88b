"""The numbers of jobs -> metrics.

Rule: labels are configured names and words of ours. What stands in the database is asked for when
somebody scrapes, by the ledger's reader, at most every `SAMPLE_S`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING

from gatemill.core.errors import GatemillError
from gatemill.core.job import PRIORITIES
from gatemill.observe.metrics import OTHER, Labelled, Spreads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatemill.house.jobs import Workshop
    from gatemill.jobs.counters import Counters
    from gatemill.ledger.jobs.jobs import Jobs
    from gatemill.ledger.jobs.rows import Depth
    from gatemill.ledger.ledger import Ledger
    from gatemill.observe.metrics import Histogram, Meter

SAMPLE_S = 3.0
SAMPLE_S_MAX = 2.0  # a scrape waits no longer; it then gets the sample before
QUEUES_MAX = 100  # told apart; rows may be left of queues that no configuration names any more


def export_jobs(meter: Meter, workshop: Workshop, ledger: Ledger) -> None:
    """The counts of jobs, workers and dispatch become metrics."""
    depths = Depths(ledger.jobs, workshop.services.clock.monotonic_s, SAMPLE_S_MAX)
    meter.samplers["jobs"] = depths.sample
    for field, (name, text) in _DEPTHS.items():
        read = partial(depths.read, attrgetter(field))
        meter.labelled_gauges[name] = Labelled(text, ("queue", "priority", "state"), read)
    meter.counters["gatemill_jobs_sample_failures"] = (
        "Samples of the queues that the database did not answer in time.",
        lambda: depths.failures,
    )
    counters = workshop.counters
    _kinds(meter, counters)
    for name, text in _GAUGES.items():
        meter.gauges[f"gatemill_jobs_{name}"] = (text, partial(_of, counters, _FIELDS[name]))
    for name, text in _COUNTERS.items():
        meter.counters[f"gatemill_jobs_{name}"] = (text, partial(getattr, counters, name))
    _dispatch(meter, workshop)
    meter.counters["gatemill_ledger_commits"] = (
        "Transactions in which changes of jobs were committed.",
        lambda: ledger.commits,
    )
    meter.counters["gatemill_ledger_commit_units"] = (
        "Changes in them; divided by the commits, how many share one.",
        lambda: ledger.commit_units,
    )


def _dispatch(meter: Meter, workshop: Workshop) -> None:
    services = workshop.services
    meter.counters["gatemill_jobs_rings_lost"] = (
        "Messages to workers that no broker took; the ledger has the jobs.",
        lambda: services.bell.lost,
    )
    meter.labelled_counters["gatemill_webhook_tries"] = Labelled(
        "Tries to deliver a webhook, by the class of the answer's status or the reason for none.",
        ("outcome",),
        lambda: {(outcome,): count for outcome, count in services.sender.tries.items()},
    )
    meter.gauges["gatemill_webhook_tries_running"] = (
        "Tries to deliver a webhook under way.",
        lambda: services.sender.running,
    )
    meter.gauges["gatemill_jobs_event_loop_late_seconds"] = (
        "How late the event loop is; work of jobs in the background waits while it is.",
        lambda: services.governor.late_s,
    )
    meter.counters["gatemill_jobs_delayed"] = (
        "Calls of jobs in the background that let interactive requests go first.",
        lambda: services.governor.delayed,
    )


class Depths:
    """How much waits where: the last sample."""

    def __init__(self, jobs: Jobs, now: Callable[[], float], patience_s: float) -> None:
        self.failures = 0
        self._jobs = jobs
        self._now = now
        self._patience_s = patience_s
        self._seen: Sequence[Depth] = ()
        self._due_s = -SAMPLE_S

    async def sample(self) -> None:
        """The sample is not much older than `SAMPLE_S`, or the database is slow or away."""
        if self._now() < self._due_s:
            return
        self._due_s = self._now() + SAMPLE_S
        try:
            async with asyncio.timeout(self._patience_s):
                self._seen = await self._jobs.depths()
        except (TimeoutError, GatemillError):
            self.failures += 1

    def read(self, value: Callable[[Depth], float]) -> dict[tuple[str, ...], float]:
        """A value of each by queue, priority and state; of queues beyond `QUEUES_MAX` the largest."""
        names = list(dict.fromkeys(depth.queue for depth in self._seen))[:QUEUES_MAX]
        found: dict[tuple[str, ...], float] = {}
        for depth in self._seen:
            queue = depth.queue if depth.queue in names else OTHER
            labels = (queue, PRIORITIES[depth.priority], depth.state)
            found[labels] = max(found.get(labels, 0.0), value(depth))
        return found


def _kinds(meter: Meter, counters: Counters) -> None:
    def outcomes() -> dict[tuple[str, ...], float]:
        return {
            (kind, outcome): getattr(counts, outcome)
            for kind, counts in counters.kinds.items()
            for outcome in _OUTCOMES
        }

    def started() -> dict[tuple[str, ...], float]:
        return {(kind,): counts.started for kind, counts in counters.kinds.items()}

    def spread(field: str) -> list[tuple[tuple[str, ...], Histogram]]:
        return [((kind,), getattr(counts, field)) for kind, counts in counters.kinds.items()]

    meter.labelled_counters["gatemill_jobs_started"] = Labelled(
        "Attempts begun.", ("kind",), started
    )
    meter.labelled_counters["gatemill_jobs_ended"] = Labelled(
        "Attempts ended, by what became of the job.", ("kind", "outcome"), outcomes
    )
    for field, (name, text) in _SPREADS.items():
        meter.labelled_histograms[name] = Spreads(text, ("kind",), partial(spread, field))


def _of(counters: Counters, field: str) -> float:
    value: float = getattr(counters, field)
    return value


_OUTCOMES = (
    "succeeded",
    "retried",
    "dead",
    "postponed",
    "released",
    "cancelled",
    "waiting",
    "refused",
)
_DEPTHS = {
    "jobs": ("gatemill_jobs", "Jobs that have not ended, of all processes."),
    "oldest_s": ("gatemill_jobs_oldest_seconds", "Time since the first of them was due."),
}
_SPREADS = {
    "wait_s": ("gatemill_jobs_wait_seconds", "From when a job was due to its start."),
    "run_s": ("gatemill_jobs_run_seconds", "Time of one attempt."),
}
_FIELDS = {
    "slots": "slots",
    "slots_used": "slots_used",
    "heartbeat_late_seconds": "heartbeat_late_s",
}
_GAUGES = {
    "slots": "Jobs that may run at once in this process.",
    "slots_used": "Jobs that run in this process.",
    "heartbeat_late_seconds": "How far the last sign of life of this worker came after its time.",
}
_COUNTERS = {
    "lost": "Jobs taken back from workers that died or fell silent.",
    "promoted": "Jobs whose time came.",
    "expired": "Jobs that had not begun when their time was over.",
    "scheduled": "Jobs submitted by the clock.",
    "deleted": "Jobs deleted because nobody keeps them any longer.",
    "fenced": "Times that this worker had been taken for dead, and began anew.",
    "claim_failures": "Questions for work that the database did not answer.",
    "commit_failures": "Ends of jobs that the database did not take at once.",
    "commits_dropped": "Ends of jobs that it never took; the jobs run again.",
    "housekeeping_failures": "Rounds of housekeeping that failed.",
    "quarantine_started": "Processes begun for jobs whose workers had died.",
}
