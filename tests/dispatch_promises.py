"""What every engine of dispatch promises: jobs run once, in order, whatever becomes of the messages.

Rule: nothing here knows which engine it is; tests/contract/test_dispatch.py and tests/dispatch/test_celery.py do.
That lost messages lose no job is shown with a thousand of them in tests/chaos/test_broker_away.py.
"""

from __future__ import annotations

import time

import heavy
from dispatch_sites import Joined
from gatemill.core.job import PRIORITIES
from gatemill.ledger import queries
from listener import overtaken
from site_under_fire import until

END_S = 120.0
SLOTS = 2  # of each worker
CANCEL_S = heavy.within(2.0)

_WORKERS = queries.literal("workers", "SELECT id FROM workers")


def ended(site, ids):
    """The jobs with these ids, once all have."""
    found = {}

    def all_have() -> bool:
        for job_id in ids:
            if job_id not in found:
                job = site.ask("GET", f"/v1/jobs/{job_id}")
                if job["finished_at"] is None:
                    return False
                found[job_id] = job
        return True

    until(all_have, END_S, "all jobs have ended")
    return [found[job_id] for job_id in ids]


def workers(site) -> int:
    database = site.place.open(writes=False)
    try:
        return len(database.rows(_WORKERS))
    finally:
        database.close()


def is_running(site, job_id) -> bool:
    return site.ask("GET", f"/v1/jobs/{job_id}")["state"] == "running"


def hold(place: Joined) -> None:
    """All of them, at a site with one worker of SLOTS slots; afterwards it has two."""
    the_most_urgent_begins_first(place.site)
    a_cancel_reaches_work_that_runs_and_work_that_waits(place.site)
    place.site.add(place.command)
    until(lambda: workers(place.site) == 2, END_S, "both workers are there")
    repeated_and_spoiled_messages_do_no_harm(place)
    the_jobs_of_a_killed_worker_are_taken_over(place.site)


def repeated_and_spoiled_messages_do_no_harm(place):
    site = place.site
    go = site.folder / "first"
    first = site.submit({"until": str(go)})
    until(lambda: is_running(site, first), END_S, "it runs")
    place.add_rubbish(first)
    go.touch()
    jobs = ended(site, [first, *(site.submit({}, priority="high") for _ in range(10))])
    assert {(job["state"], len(job["attempts"])) for job in jobs} == {("succeeded", 1)}


def the_jobs_of_a_killed_worker_are_taken_over(site):
    go = site.folder / "all"
    ids = [site.submit({"until": str(go)}) for _ in range(2 * SLOTS)]
    until(lambda: all(is_running(site, each) for each in ids), END_S, "both workers are busy")
    site.kill(1)
    go.touch()
    jobs = ended(site, ids)
    assert {job["state"] for job in jobs} == {"succeeded"}
    taken_over = [job for job in jobs if len(job["attempts"]) == 2]
    assert len(taken_over) == SLOTS
    for job in taken_over:
        assert [each["outcome"] for each in job["attempts"]] == ["lost", "succeeded"]


def the_most_urgent_begins_first(site):
    busy = [site.submit({"seconds": 600.0}) for _ in range(2)]
    until(lambda: all(is_running(site, each) for each in busy), END_S, "the worker is busy")
    urgency = [("low", 20), ("default", 10), ("high", 5)]
    ids = [
        site.submit({"seconds": 0.05}, priority=priority)
        for priority, count in urgency
        for _ in range(count)
    ]
    for job_id in busy:  # until now nothing could begin
        site.ask("DELETE", f"/v1/jobs/{job_id}")
    jobs = sorted(ended(site, ids), key=lambda job: job["started_at"])
    order = [PRIORITIES.index(job["priority"]) for job in jobs]
    # In any order it is half of all pairs; in the best, one start in twenty goes by age. Where the
    # machine keeps a broker waiting, its next urgent message is not there yet when a slot is free.
    assert overtaken(order) < (0.12 if heavy.is_wanted() else 0.3), order


def a_cancel_reaches_work_that_runs_and_work_that_waits(site):
    running = [site.submit({"seconds": 600.0}) for _ in range(2)]
    until(lambda: all(is_running(site, each) for each in running), END_S, "they run")
    waiting = site.submit({"seconds": 600.0})
    assert site.ask("DELETE", f"/v1/jobs/{waiting}")["state"] == "cancelled"
    asked_s = time.monotonic()
    site.ask("DELETE", f"/v1/jobs/{running[0]}")
    (job,) = ended(site, running[:1])
    assert time.monotonic() - asked_s < CANCEL_S
    assert job["state"] == "cancelled"
    (job,) = ended(site, [site.submit({})])
    assert job["state"] == "succeeded", "the slot is free again"
    site.ask("DELETE", f"/v1/jobs/{running[1]}")
    ended(site, running[1:])
