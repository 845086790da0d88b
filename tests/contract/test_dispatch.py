"""What every engine of dispatch promises: jobs run once, in order, whatever becomes of the messages.

That lost messages lose no job is shown with a thousand of them in tests/chaos/test_broker_away.py.
"""

from __future__ import annotations

import time

import pytest

from dispatch_sites import ENGINES, PLACES, joined
from gatemill.ledger import queries
from site_under_fire import until

END_S = 60.0
CANCEL_S = 3.0  # 2 s are promised; the machine may be busy with other tests

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


@pytest.mark.parametrize(("engine", "database"), PLACES)
def test_two_workers_do_each_job_once_whatever_they_are_told_and_whoever_dies(
    tmp_path, engine, database
):
    with joined(tmp_path, engine, database) as place:
        repeated_and_spoiled_messages_do_no_harm(place)
        the_jobs_of_a_killed_worker_are_taken_over(place.site)


@pytest.mark.parametrize("engine", ENGINES)
def test_one_worker_begins_with_the_most_urgent_and_stops_when_it_is_told(tmp_path, engine):
    with joined(tmp_path, engine, workers=1, slots=2) as place:
        the_most_urgent_begins_first(place.site)
        a_cancel_reaches_work_that_runs_and_work_that_waits(place.site)


def repeated_and_spoiled_messages_do_no_harm(place):
    site = place.site
    first = site.submit({"seconds": 0.5})
    until(lambda: is_running(site, first), END_S, "it runs")
    place.add_rubbish(first)
    jobs = ended(site, [first, *(site.submit({}, priority="high") for _ in range(10))])
    assert {(job["state"], len(job["attempts"])) for job in jobs} == {("succeeded", 1)}


def the_jobs_of_a_killed_worker_are_taken_over(site):
    until(lambda: workers(site) == 2, END_S, "both workers are there")
    ids = [site.submit({"seconds": 7.0}) for _ in range(8)]
    until(lambda: all(is_running(site, each) for each in ids), END_S, "both workers are busy")
    site.kill(1)
    jobs = ended(site, ids)
    assert {job["state"] for job in jobs} == {"succeeded"}
    taken_over = [job for job in jobs if len(job["attempts"]) == 2]
    assert len(taken_over) == 4
    for job in taken_over:
        assert [each["outcome"] for each in job["attempts"]] == ["lost", "succeeded"]


def the_most_urgent_begins_first(site):
    busy = [site.submit({"seconds": 3.0}) for _ in range(2)]
    until(lambda: all(is_running(site, each) for each in busy), END_S, "the worker is busy")
    urgency = [("low", 20), ("default", 10), ("high", 5)]
    ids = [
        site.submit({"seconds": 0.05}, priority=priority)
        for priority, count in urgency
        for _ in range(count)
    ]
    order = sorted(ended(site, ids), key=lambda job: job["started_at"])
    places = {name: [] for name, _ in urgency}
    for at, job in enumerate(order):
        places[job["priority"]].append(at)
    # Two run side by side, and one start in twenty goes to the job that has waited longest.
    assert max(places["high"]) <= 7, places
    assert sum(places["default"]) / 10 < 13, places
    assert min(places["low"][2:]) >= 10, places


def a_cancel_reaches_work_that_runs_and_work_that_waits(site):
    running = [site.submit({"seconds": 60.0}) for _ in range(2)]
    until(lambda: all(is_running(site, each) for each in running), END_S, "they run")
    waiting = site.submit({"seconds": 60.0})
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
