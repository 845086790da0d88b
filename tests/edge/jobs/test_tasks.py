"""The older names: the same desk, in Celery's words."""

from __future__ import annotations

import pytest

from jobs_over_http import CHAT_ARGS, JOBS, dead, ended, jobs_there, submit


async def test_a_chat_task_is_a_job(ask):
    body = {**CHAT_ARGS, "priority": "low"}
    said = await ask("POST", "/tasks/chat/completions", body)
    assert said.status == 202
    task = said.json["task_id"]
    assert (said.json["status"], said.headers["location"]) == ("PENDING", f"/tasks/{task}")
    job = await ended(ask, task)
    assert (job["kind"], job["priority"]) == ("chat.completion", "low")
    done = await ask.good("GET", f"/tasks/{task}")
    assert (done["task_id"], done["status"], done["error"]) == (task, "SUCCESS", None)
    assert done["result"]["choices"][0]["message"]["content"] == "hello big world"


async def test_predictions_come_in_their_order(ask):
    body = {"model": "echo", "items": ["one", "two"], "priority": "high"}
    said = await ask("POST", "/batch_predict", body)
    assert (said.status, said.json["status"]) == (202, "PENDING")
    task = said.json["task_id"]
    assert said.headers["location"] == f"/batch_result/{task}"
    await ended(ask, task)
    done = await ask.good("GET", f"/batch_result/{task}")
    texts = [one["output"]["choices"][0]["message"]["content"] for one in done["result"]["data"]]
    assert (done["status"], texts) == ("SUCCESS", ["one", "two"])
    assert done["progress"]["current"] == done["progress"]["total"] == 2


async def test_the_states_have_celerys_words(ask):
    await ask.good("POST", "/v1/queues/held/pause")
    waiting = (await submit(ask))["id"]
    assert (await ask.good("GET", f"/tasks/{waiting}"))["status"] == "PENDING"
    assert (await ask.good("DELETE", f"/tasks/{waiting}"))["status"] == "REVOKED"
    await ask.good("POST", "/v1/queues/held/resume")
    failed = await dead(ask)
    task = await ask.good("GET", f"/tasks/{failed}")
    assert (task["status"], task["error"]["code"]) == ("FAILURE", "broken")


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/tasks/chat/completions", {"model": "echo"}, 400, "messages"),
        ("/tasks/chat/completions", {**CHAT_ARGS, "model": "nobody"}, 404, "model"),
        ("/tasks/chat/completions", {**CHAT_ARGS, "priority": "urgent"}, 400, "priority"),
        (
            "/tasks/chat/completions",
            {**CHAT_ARGS, "callback_url": "http://127.0.0.1/"},
            400,
            "callback_url",
        ),
        ("/batch_predict", {"model": "echo"}, 422, "items"),
        ("/batch_predict", {"model": "echo", "items": []}, 422, "items"),
        ("/batch_predict", {"model": "echo", "items": ["x"], "itmes": 1}, 422, None),
    ],
    ids=str,
)
async def test_a_bad_task_leaves_nothing(ask, path, body, status, param):
    said = await ask("POST", path, body)
    assert (said.status, said.json["error"]["param"]) == (status, param), said.body
    assert await jobs_there(ask) == 0


async def test_a_batch_result_is_no_other_job(ask):
    job = (await submit(ask))["id"]
    assert (await ask("GET", f"/batch_result/{job}")).status == 404
    assert (await ask("GET", f"{JOBS}/{job}")).status == 200
