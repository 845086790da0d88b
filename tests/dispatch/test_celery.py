"""Celery's own commands and programs, with our app, on both brokers."""

from __future__ import annotations

import signal
import time

import pytest

import celery_process
import dispatch_promises
import heavy
from dispatch_sites import PLACES, joined
from site_under_fire import until

END_S = 60.0
STOPPING = "worker: Warm shutdown"
BROKERS = [(engine, database) for engine, database in PLACES if engine.startswith("celery")]


@pytest.mark.parametrize(("broker", "database"), BROKERS)
def test_a_worker_of_celerys_own_command_is_what_its_users_know_and_keeps_our_promises(
    tmp_path, broker, database
):
    with joined(tmp_path, broker, database, workers=1, slots=dispatch_promises.SLOTS) as place:
        site = place.site
        a_program_that_knows_only_celery_reads_results_and_failures_and_revokes(site)
        celery_inspects_the_worker_and_calls_jobs_off(site)
        on_sigterm_a_worker_ends_what_it_has_and_takes_no_more(site)
        dispatch_promises.hold(place)


def state(site, job_id) -> str:
    return site.ask("GET", f"/v1/jobs/{job_id}")["state"]


def a_program_that_knows_only_celery_reads_results_and_failures_and_revokes(site):
    ids = {"done": site.submit({}), "dead": site.submit({}, kind="no_luck")}
    until(lambda: state(site, ids["done"]) == "succeeded", END_S, "it is done")
    until(lambda: state(site, ids["dead"]) == "dead", END_S, "it is dead")
    ids["runs"] = site.submit({"seconds": 600.0})
    go = site.folder / "go"  # until then the one that stays runs
    ids["stays"] = site.submit({"until": str(go)})
    both = "both run"
    until(lambda: {state(site, ids[one]) for one in ("runs", "stays")} == {"running"}, END_S, both)
    ids["waits"] = site.submit({"seconds": 600.0})
    said = celery_process.asked(
        site,
        f"""
ids = {ids!r}
result = {{name: AsyncResult(job_id, app=app) for name, job_id in ids.items()}}
before = {{name: one.state for name, one in result.items()}}
value = result["done"].get(timeout=50)
app.control.revoke([ids["waits"], ids["stays"]])
result["runs"].revoke(terminate=True)
open({str(go)!r}, "w").close()
after = {{}}
for name in ("runs", "waits"):
    try:
        result[name].get(timeout=50, interval=0.1)
    except Exception as error:
        after[name] = type(error).__name__
after["stays"] = result["stays"].get(timeout=50, interval=0.1)["attempt"]
dead = result["dead"]
try:
    dead.get(timeout=50)
except Exception as error:
    failure = [dead.state, type(error).__name__, str(error), dead.failed()]
print(json.dumps({{
    "before": before, "after": after, "token": value["token"],
    "unknown": AsyncResult("job_unknown", app=app).state, "failure": failure,
}}))
""",
    )
    assert said["before"] == {
        "done": "SUCCESS",
        "dead": "FAILURE",
        "runs": "STARTED",
        "stays": "STARTED",
        "waits": "PENDING",
    }
    assert said["token"] == site.ask("GET", f"/v1/jobs/{ids['done']}")["result"]["token"]
    assert said["after"] == {"runs": "TaskRevokedError", "waits": "TaskRevokedError", "stays": 1}
    assert said["unknown"] == "PENDING"
    assert said["failure"] == ["FAILURE", "JobFailed", "no_luck: It was not to be.", True]
    assert {state(site, ids["runs"]), state(site, ids["waits"])} == {"cancelled"}


def on_sigterm_a_worker_ends_what_it_has_and_takes_no_more(site):
    go = site.folder / "end"
    ids = [site.submit({"until": str(go)}) for _ in range(4)]
    busy = "the worker has all it can take"
    until(lambda: {state(site, one) for one in ids[:2]} == {"running"}, END_S, busy)
    before = site.said().count(STOPPING)
    site.signal(1, signal.SIGTERM)
    until(lambda: site.said().count(STOPPING) > before, END_S, "it has been told")
    go.touch()
    assert site.exit_code(1) == 0
    states = [state(site, job_id) for job_id in ids]
    assert states == ["succeeded", "succeeded", "queued", "queued"]
    site.start(1)
    until(lambda: all(state(site, one) == "succeeded" for one in ids), END_S, "the rest follows")
    attempts = [site.ask("GET", f"/v1/jobs/{one}")["attempts"] for one in ids]
    assert [len(each) for each in attempts] == [1, 1, 1, 1]


def celery_inspects_the_worker_and_calls_jobs_off(site):
    job_id = site.submit({"seconds": 600.0})
    until(lambda: state(site, job_id) == "running", END_S, "it runs")
    asked_s = time.monotonic()
    lines = ("inspect active", f"control terminate SIGTERM {job_id}")
    active, called_off = celery_process.commands(site, *lines)
    assert job_id in active
    assert "cancelled" in called_off
    until(lambda: state(site, job_id) == "cancelled", END_S, "it is cancelled")
    assert time.monotonic() - asked_s < heavy.within(10.0), (
        "the commands themselves take a second or two"
    )
