"""/v1/queues over real HTTP: how much waits, and a way to hold it; for admins."""

from __future__ import annotations

import pytest

from jobs_over_http import JOBS, ended, submit


async def _queue(ask, name):
    (found,) = [q for q in (await ask.good("GET", "/v1/queues"))["data"] if q["name"] == name]
    return found


async def test_what_waits_is_counted_by_priority(ask):
    assert (await ask.good("POST", "/v1/queues/held/pause"))["paused"]
    for priority in ("high", "low", "low"):
        job = await submit(ask, priority=priority)
    await submit(ask, run_at=job["created_at"] + 3600)
    queue = await _queue(ask, "held")
    assert (queue["paused"], queue["queued"], queue["running"], queue["scheduled"]) == (
        True,
        3,
        0,
        1,
    )
    assert {name: one["jobs"] for name, one in queue["waiting"].items()} == {"high": 1, "low": 2}
    assert queue["waiting"]["high"]["oldest_s"] >= queue["waiting"]["low"]["oldest_s"] >= 0


async def test_a_queue_that_is_resumed_goes_on(ask):
    await ask.good("POST", "/v1/queues/held/pause")
    job = await submit(ask)
    assert not (await ask.good("POST", "/v1/queues/held/resume"))["paused"]
    assert (await ended(ask, job["id"]))["state"] == "succeeded"
    assert (await _queue(ask, "held"))["queued"] == 0


async def test_another_queue_is_not_held(ask):
    await ask.good("POST", "/v1/queues/inference/pause")
    assert (await ended(ask, (await submit(ask))["id"]))["state"] == "succeeded"


async def test_a_queue_that_nobody_has_is_not_there(ask):
    said = await ask("POST", "/v1/queues/nobody/pause")
    assert (said.status, said.json["error"]["param"]) == (404, "name")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/queues"), ("POST", "/v1/queues/held/pause"), ("POST", "/v1/queues/held/resume")],
)
async def test_queues_are_for_admins(ask, keys, method, path):
    said = await ask(method, path, None, keys.ada)
    assert (said.status, said.json["error"]["code"]) == (403, "permission_denied")
    assert (await ask(method, path, None, "")).status == 401
    assert (await ask("GET", JOBS, None, keys.ada)).status == 200
