"""Celery's own commands and programs, with our app, on both brokers."""

from __future__ import annotations

import signal
import time

import pytest

import celery_process
from dispatch_sites import joined
from site_under_fire import until

END_S = 60.0
BROKERS = ("celery-redis", "celery-rabbitmq")


@pytest.mark.parametrize("broker", BROKERS)
def test_a_worker_of_celerys_own_command_is_what_its_users_know(tmp_path, broker):
    with joined(tmp_path, broker, workers=1, slots=2) as place:
        site = place.site
        results_are_read_and_jobs_revoked_by_a_program_that_knows_only_celery(site)
        a_dead_letter_is_a_task_that_failed(site)
        celery_inspects_the_worker_and_calls_jobs_off(site)
        on_sigterm_a_worker_ends_what_it_has_and_takes_no_more(site)


def state(site, job_id) -> str:
    return site.ask("GET", f"/v1/jobs/{job_id}")["state"]


def results_are_read_and_jobs_revoked_by_a_program_that_knows_only_celery(site):
    ids = {"done": site.submit({})}
    until(lambda: state(site, ids["done"]) == "succeeded", END_S, "it is done")
    ids["runs"] = site.submit({"seconds": 60.0})
    ids["stays"] = site.submit({"seconds": 3.0})
    until(lambda: state(site, ids["stays"]) == "running", END_S, "both run")
    ids["waits"] = site.submit({"seconds": 60.0})
    said = celery_process.asked(
        site,
        f"""
ids = {ids!r}
result = {{name: AsyncResult(job_id, app=app) for name, job_id in ids.items()}}
before = {{name: one.state for name, one in result.items()}}
value = result["done"].get(timeout=10)
app.control.revoke([ids["waits"], ids["stays"]])
result["runs"].revoke(terminate=True)
after = {{}}
for name in ("runs", "waits"):
    try:
        result[name].get(timeout=20, interval=0.1)
    except Exception as error:
        after[name] = type(error).__name__
after["stays"] = result["stays"].get(timeout=20, interval=0.1)["attempt"]
print(json.dumps({{
    "before": before, "after": after, "token": value["token"],
    "unknown": AsyncResult("job_unknown", app=app).state,
}}))
""",
    )
    assert said["before"] == {
        "done": "SUCCESS",
        "runs": "STARTED",
        "stays": "STARTED",
        "waits": "PENDING",
    }
    assert said["token"] == site.ask("GET", f"/v1/jobs/{ids['done']}")["result"]["token"]
    assert said["after"] == {"runs": "TaskRevokedError", "waits": "TaskRevokedError", "stays": 1}
    assert said["unknown"] == "PENDING"
    assert {state(site, ids["runs"]), state(site, ids["waits"])} == {"cancelled"}


def a_dead_letter_is_a_task_that_failed(site):
    job_id = site.submit({}, kind="no_luck")
    until(lambda: state(site, job_id) == "dead", END_S, "it is dead")
    said = celery_process.asked(
        site,
        f"""
result = AsyncResult({job_id!r}, app=app)
try:
    result.get(timeout=10)
except Exception as error:
    print(json.dumps([result.state, type(error).__name__, str(error), result.failed()]))
""",
    )
    assert said == ["FAILURE", "JobFailed", "no_luck: It was not to be.", True]


def on_sigterm_a_worker_ends_what_it_has_and_takes_no_more(site):
    ids = [site.submit({"seconds": 2.0}) for _ in range(4)]
    until(lambda: state(site, ids[0]) == "running", END_S, "the worker is busy")
    site.signal(1, signal.SIGTERM)
    assert site.exit_code(1) == 0
    states = [state(site, job_id) for job_id in ids]
    assert states == ["succeeded", "succeeded", "queued", "queued"]
    site.start(1)
    until(lambda: all(state(site, one) == "succeeded" for one in ids), END_S, "the rest follows")
    attempts = [site.ask("GET", f"/v1/jobs/{one}")["attempts"] for one in ids]
    assert [len(each) for each in attempts] == [1, 1, 1, 1]


def celery_inspects_the_worker_and_calls_jobs_off(site):
    job_id = site.submit({"seconds": 60.0})
    until(lambda: state(site, job_id) == "running", END_S, "it runs")
    assert job_id in celery_process.command(site, "inspect", "active")
    asked_s = time.monotonic()
    assert "cancelled" in celery_process.command(site, "control", "terminate", "SIGTERM", job_id)
    until(lambda: state(site, job_id) == "cancelled", END_S, "it is cancelled")
    assert time.monotonic() - asked_s < 10.0, "the command itself takes a second or two"
