"""GET /v1/jobs/{id}/events: the truth as it happens, and the rest for whoever comes back."""

from __future__ import annotations

import asyncio

import pytest

import heavy
from gatemill.jobs import following
from jobs_over_http import CHAT_ARGS, JOBS, events_of, jobs_there, running, submit, until

STREAMED = {"kind": "chat.completion", "args": {**CHAT_ARGS, "stream": True}}


async def _events(ask, job_id, query="", **headers):
    return events_of(await ask("GET", f"{JOBS}/{job_id}/events{query}", None, None, **headers))


def _answers(look):
    async def answer():
        return look()

    return answer


async def test_states_and_progress_come_in_order_and_the_end_is_last(ask):
    await ask.good("POST", "/v1/queues/held/pause")
    job = await submit(ask, {"count": 7, "says": ["one", "two"]})
    following = asyncio.ensure_future(_events(ask, job["id"]))
    await ask.good("POST", "/v1/queues/held/resume")
    events = await following
    states = [event.data["state"] for event in events if event.name == "state"]
    assert states[0] in ("queued", "running")
    assert states[-1] == "succeeded" == events[-1].data["state"]
    progress = [event.data for event in events if event.name == "progress"]
    assert progress[-1] == {"current": 7, "total": 7, "note": "counting"}
    assert [p["current"] for p in progress] == sorted(p["current"] for p in progress)
    assert [(event.id, event.data) for event in events if event.id] == [("1", "one"), ("2", "two")]


async def test_a_streamed_answer_can_be_read_from_any_place(ask):
    job = (await ask("POST", JOBS, STREAMED)).json["id"]
    whole = [event for event in await _events(ask, job) if event.id]
    assert [event.id for event in whole] == [str(n) for n in range(1, len(whole) + 1)]
    chunks = [event.data for event in whole if event.data != "[DONE]"]
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    assert text == "hello big world"
    for headers, query in (({"last_event_id": "2"}, ""), ({}, "?after=2")):
        rest = [event for event in await _events(ask, job, query, **headers) if event.id]
        assert rest == whole[2:]
    assert not [e for e in await _events(ask, job, f"?after={len(whole)}") if e.id]


async def test_who_comes_late_gets_everything_and_the_end(ask):
    job = (await submit(ask, {"says": ["one"], "fails": "broken"}))["id"]
    first = await _events(ask, job)
    again = await _events(ask, job)
    assert [event.data for event in again if event.id] == ["one"]
    assert again[-1] == first[-1]
    assert again[-1].data["error"]["code"] == "broken"


async def test_cancelling_ends_the_stream(ask):
    job = (await submit(ask, {"waits": True}))["id"]
    following = asyncio.ensure_future(_events(ask, job))
    await running(ask, job)
    await ask.good("DELETE", f"{JOBS}/{job}")
    async with asyncio.timeout(heavy.within(2)):
        events = await following
    assert events[-1].data["state"] == "cancelled"


@pytest.mark.parametrize(
    ("query", "headers", "param"),
    [
        ("?after=x", {}, "after"),
        ("?after=-1", {}, "after"),
        ("", {"last_event_id": "1e3"}, "after"),
        ("?since=1", {}, "since"),
    ],
)
async def test_a_place_that_is_no_number_is_refused(ask, query, headers, param):
    job = (await submit(ask))["id"]
    said = await ask("GET", f"{JOBS}/{job}/events{query}", None, None, **headers)
    assert (said.status, said.json["error"]["param"]) == (400, param)


async def test_too_many_streams_are_refused_and_the_next_is_not(ask, gate):
    job = (await submit(ask, {"waits": True}))["id"]
    news = gate.home.jobs.desk.news
    ears = [news.of(f"job_{n}") for n in range(following.LISTENERS_MAX)]
    for ear in ears:
        ear.__enter__()
    said = await ask("GET", f"{JOBS}/{job}/events")
    assert (said.status, said.json["error"]["code"]) == (503, "overloaded")
    assert said.headers["retry-after"] == "5"
    body = {"model": "echo", "input": "hi", "background": True, "stream": True}
    assert (await ask("POST", "/v1/responses", body)).status == 503
    assert await jobs_there(ask) == 1
    for ear in ears:
        ear.__exit__(None, None, None)
    await ask.good("DELETE", f"{JOBS}/{job}")
    assert (await _events(ask, job))[-1].data["state"] == "cancelled"


async def test_a_server_that_shuts_down_tells_whoever_follows(ask, gate):
    job = (await submit(ask, {"waits": True}))["id"]
    following = asyncio.ensure_future(ask("GET", f"{JOBS}/{job}/events"))
    news = gate.home.jobs.desk.news
    await until(_answers(lambda: news.listeners))
    gate.door.draining = True
    async with asyncio.timeout(heavy.within(5)):
        said = await following
    gate.door.draining = False
    assert events_of(said)[-1].data["error"]["code"] == "draining"
    assert news.listeners == 0


async def test_who_follows_with_a_key_that_has_ended_hears_no_more(ask, gate, monkeypatch):
    monkeypatch.setattr("gatemill.edge.jobs.counter.CHECK_S", 0.0)
    made = await ask.good("POST", "/api/v1/keys", {"name": "ends", "scopes": ["jobs"]})
    job = (await submit(ask, {"waits": True}, made["secret"]))["id"]
    await running(ask, job)
    paths = f"{JOBS}/{job}/events", f"{JOBS}/{job}/events?after=1"
    following = [asyncio.ensure_future(ask("GET", path, None, made["secret"])) for path in paths]
    news = gate.home.jobs.desk.news
    await until(_answers(lambda: news.listeners == len(paths)))
    await ask.good("DELETE", f"/api/v1/keys/{made['id']}")
    await ask.good("DELETE", f"{JOBS}/{job}")
    for said in await asyncio.gather(*following):
        assert events_of(said)[-1].data["error"]["code"] == "invalid_api_key"
    assert news.listeners == 0


async def test_who_leaves_is_forgotten(ask, gate):
    job = (await submit(ask, {"waits": True}))["id"]
    following = asyncio.ensure_future(ask("GET", f"{JOBS}/{job}/events"))
    news = gate.home.jobs.desk.news
    await until(_answers(lambda: news.listeners))
    following.cancel()
    await until(_answers(lambda: not news.listeners))
    await ask.good("DELETE", f"{JOBS}/{job}")
