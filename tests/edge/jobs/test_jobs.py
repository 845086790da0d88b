"""/v1/jobs over real HTTP: accepted is kept, refused leaves nothing, and each sees their own."""

from __future__ import annotations

import asyncio

import heavy
from jobs_over_http import CHAT_ARGS, JOBS, ended, jobs_there, running, submit

CHAT = {"kind": "chat.completion", "args": CHAT_ARGS}


async def test_a_job_is_accepted_run_and_shown(ask):
    said = await ask("POST", JOBS, {**CHAT, "priority": "high", "metadata": {"a": "b"}})
    assert said.status == 202
    job = said.json
    assert said.headers["location"] == f"{JOBS}/{job['id']}"
    assert (job["object"], job["kind"], job["state"]) == ("job", "chat.completion", "queued")
    assert (job["priority"], job["metadata"]) == ("high", {"a": "b"})
    done = await ended(ask, job["id"])
    assert (done["state"], done["attempt"], done["error"]) == ("succeeded", 1, None)
    assert done["result"]["choices"][0]["message"]["content"] == "hello big world"
    assert done["cost_usd"] == "0.000000"
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["succeeded"]
    assert job["created_at"] <= done["started_at"] <= done["finished_at"]


async def test_a_job_is_charged_to_the_key_that_asked(ask, keys):
    job = (await ask("POST", JOBS, CHAT, keys.ada)).json
    await ended(ask, job["id"], keys.ada)
    rows = (await ask.good("GET", "/api/v1/requests?limit=10", None, keys.ada))["data"]
    assert [row["model"] for row in rows] == ["echo"]


async def test_many_jobs_are_accepted_at_once_in_their_order(ask):
    jobs = [{"kind": "held", "args": {"count": n}} for n in range(20)]
    said = await ask("POST", JOBS, {"jobs": jobs})
    assert said.status == 202
    found = said.json["data"]
    assert len({job["id"] for job in found}) == 20
    assert [job["id"] for job in found] == sorted(job["id"] for job in found)
    results = [(await ended(ask, job["id"]))["result"] for job in found]
    assert results == [{"counted": n} for n in range(20)]


async def test_one_bad_job_of_many_leaves_none(ask):
    jobs = [{"kind": "held"}, {"kind": "held", "args": {"count": "x"}}]
    said = await ask("POST", JOBS, {"jobs": jobs})
    assert (said.status, said.json["error"]["code"]) == (422, "invalid_arguments")
    assert said.json["error"]["param"] == "jobs.1.args.count"
    assert await jobs_there(ask) == 0


REFUSED = [
    ({"kind": "chat.completions"}, 400, "invalid_value", "kind"),
    ({"kind": "webhook", "args": {}}, 400, "invalid_value", "kind"),
    ({"kind": "response", "args": {}}, 400, "invalid_value", "kind"),
    ({"kind": "held", "args": {"count": "x"}}, 422, "invalid_arguments", "args.count"),
    ({"kind": "held", "args": {"cuont": 1}}, 422, "invalid_arguments", "args"),
    ({"kind": "held", "args": []}, 422, "invalid_arguments", "args"),
    ({"kind": "held", "args": None}, 422, "invalid_arguments", "args"),
    ({"kind": "held", "args": {"odd": True}}, 422, "invalid_arguments", "args.odd"),
    (
        {"kind": "chat.completion", "args": {**CHAT_ARGS, "messages": [{"role": 5}]}},
        422,
        "invalid_arguments",
        "args.messages.0.role",
    ),
    (
        {"kind": "chat.completion", "args": {**CHAT_ARGS, "model": "nobody"}},
        404,
        "model_not_found",
        "args.model",
    ),
    ({"kind": "held", "args": {"says": ["x" * 20_001]}}, 413, "request_too_large", "args"),
    ({"kind": "held", "run_at": 1.0}, 400, "invalid_value", "run_at"),
    ({"kind": "held", "run_at": "2020-01-01T00:00:00Z"}, 400, "invalid_value", "run_at"),
    ({"kind": "held", "run_at": "tomorrow"}, 400, "invalid_value", "run_at"),
    ({"kind": "held", "ttl": -1}, 400, "invalid_value", "ttl"),
    ({"kind": "held", "priority": "urgent"}, 400, "invalid_value", "priority"),
    ({"kind": "held", "metadata": {"a": 1}}, 400, "invalid_value", "metadata"),
    ({"kind": "held", "queue": "x"}, 400, "unsupported_parameter", "queue"),
    ({}, 400, "missing_required_parameter", "kind"),
    (b"{", 400, "invalid_json", None),
    (b"", 400, "invalid_json", None),
    (b'{"kind":"held","kind":"\\u0000"}', 400, "invalid_value", "kind"),
]


async def test_what_is_refused_leaves_nothing(ask):
    for said, status, code, param in REFUSED:
        answer = await ask("POST", JOBS, said)
        error = answer.json["error"]
        assert (answer.status, error["code"], error["param"]) == (status, code, param), error
        assert await jobs_there(ask) == 0, said


PRIVATE = [
    "http://127.0.0.1/hook",
    "http://10.1.2.3/hook",
    "http://[::1]/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://169.254.169.254/latest/meta-data",
    "ftp://example.com/",
    "https://user:pass@example.com/",
    "not a url",
    "http://localhost:8700/",
]


async def test_a_callback_to_a_private_or_odd_address_is_refused(ask):
    for url in PRIVATE:
        said = await ask("POST", JOBS, {"kind": "held", "callback_url": url})
        assert (said.status, said.json["error"]["param"]) == (400, "callback_url"), url
        assert "127.0.0.1" not in said.json["error"]["message"]
    assert await jobs_there(ask) == 0


async def test_a_body_that_is_compressed_is_read(ask):
    import gzip

    body = gzip.compress(b'{"kind":"held"}')
    assert (await ask("POST", JOBS, body, content_encoding="gzip")).status == 202
    assert (await ask("POST", JOBS, body[:-4], content_encoding="gzip")).status == 400
    assert await jobs_there(ask) == 1


# --- Idempotency --------------------------------------------------------------------------------


async def test_a_hundred_requests_with_one_idempotency_key_are_one_job(ask):
    async def once():
        return await ask("POST", JOBS, {"kind": "held"}, idempotency_key="k1")

    found = await asyncio.gather(*(once() for _ in range(100)))
    assert {said.status for said in found} == {202}
    assert len({said.json["id"] for said in found}) == 1
    assert sum("idempotent-replayed" not in said.headers for said in found) == 1
    assert await jobs_there(ask) == 1


async def test_an_idempotency_key_with_another_body_is_refused(ask):
    await ask("POST", JOBS, {"kind": "held"}, idempotency_key="k1")
    said = await ask("POST", JOBS, {"kind": "held", "args": {"count": 1}}, idempotency_key="k1")
    assert (said.status, said.json["error"]["code"]) == (422, "idempotency_key_reused")
    said = await ask("POST", JOBS, {"jobs": [{"kind": "held"}]}, idempotency_key="k1")
    assert said.status == 422
    assert await jobs_there(ask) == 1


async def test_an_idempotency_key_is_its_owners(ask, keys):
    async def once(key):
        return (await ask("POST", JOBS, {"kind": "held"}, key, idempotency_key="k1")).json["id"]

    assert await once(keys.ada) == await once(keys.bob) != await once(keys.eve)


async def test_a_list_is_repeated_as_a_whole(ask):
    jobs = {"jobs": [{"kind": "held"}, {"kind": "held"}]}
    first = await ask("POST", JOBS, jobs, idempotency_key="k1")
    again = await ask("POST", JOBS, jobs, idempotency_key="k1")
    assert [one["id"] for one in first.json["data"]] == [one["id"] for one in again.json["data"]]
    assert again.headers["idempotent-replayed"] == "true"
    assert await jobs_there(ask) == 2


async def test_an_idempotency_key_that_cannot_be_one_is_refused(ask):
    said = await ask("POST", JOBS, {"kind": "held"}, idempotency_key="x" * 256)
    assert (said.status, said.json["error"]["param"]) == (400, "Idempotency-Key")


# --- Whose it is ----------------------------------------------------------------------------------


async def test_a_stranger_sees_nothing_of_a_job(ask, keys):
    job = (await submit(ask, {}, keys.ada))["id"]
    for method, path in (
        ("GET", f"{JOBS}/{job}"),
        ("DELETE", f"{JOBS}/{job}"),
        ("GET", f"{JOBS}/{job}/events"),
        ("GET", f"/tasks/{job}"),
        ("DELETE", f"/tasks/{job}"),
        ("GET", f"/v1/dead_letters/{job}"),
        ("POST", f"/v1/dead_letters/{job}/replay"),
        ("DELETE", f"/v1/dead_letters/{job}"),
    ):
        foreign = await ask(method, path, None, keys.eve)
        unknown = await ask(method, path.replace(job, "job_none"), None, keys.eve)
        assert foreign.status == unknown.status == 404, path
        same = ("message", "code", "param")
        assert [foreign.json["error"][name] for name in same] == [
            unknown.json["error"][name] for name in same
        ]
    assert (await ask.good("GET", JOBS, None, keys.eve))["data"] == []
    assert (await ask.good("GET", f"{JOBS}/{job}", None, keys.bob))["id"] == job
    assert (await ask.good("GET", f"{JOBS}/{job}"))["id"] == job, "an admin sees all"


async def test_without_a_key_there_is_nothing(ask):
    for method, path in (("POST", JOBS), ("GET", JOBS), ("GET", f"{JOBS}/x"), ("GET", "/tasks/x")):
        assert (await ask(method, path, None, "")).status == 401


# --- Lists ----------------------------------------------------------------------------------------


async def test_jobs_are_listed_page_by_page(ask):
    made = [(await submit(ask, metadata={"n": str(n)}))["id"] for n in range(5)]
    seen, after = [], ""
    while True:
        page = await ask.good("GET", f"{JOBS}?limit=2{after}")
        seen += [job["id"] for job in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={seen[-1]}"
    assert seen == made[::-1]


async def test_jobs_are_filtered(ask):
    await ask.good("POST", "/v1/queues/held/pause")
    low = await submit(ask, priority="low")
    high = await submit(ask, priority="high", run_at=low["created_at"] + 3600)
    chat = (await ask("POST", JOBS, CHAT)).json
    await ended(ask, chat["id"])

    async def found(query):
        return [job["id"] for job in (await ask.good("GET", f"{JOBS}?{query}"))["data"]]

    assert await found("state=queued") == [low["id"]]
    assert await found("state=scheduled") == [high["id"]]
    assert await found("state=succeeded") == [chat["id"]]
    assert await found("kind=held") == [high["id"], low["id"]]
    assert await found("kind=held&priority=low") == [low["id"]]
    assert await found("queue=inference") == [chat["id"]]
    assert await found(f"created_after={low['created_at'] + 3600}") == []
    assert await found("created_after=1h&queue=held") == [high["id"], low["id"]]
    assert await found("created_before=1h") == []
    assert await found("parent=job_none") == []


BAD_QUERIES = [
    ("state=done", "state"),
    ("priority=urgent", "priority"),
    ("limit=0", "limit"),
    ("limit=501", "limit"),
    ("limit=x", "limit"),
    ("created_after=soon", "created_after"),
    ("stat=queued", "stat"),
    ("limit=1&limit=2", "limit"),
]


async def test_a_bad_query_is_refused_by_name(ask):
    for query, param in BAD_QUERIES:
        said = await ask("GET", f"{JOBS}?{query}")
        assert (said.status, said.json["error"]["param"]) == (400, param), query


# --- Cancel ---------------------------------------------------------------------------------------


async def test_a_waiting_job_that_is_cancelled_never_starts(ask):
    await ask.good("POST", "/v1/queues/held/pause")
    job = await submit(ask)
    gone = await ask.good("DELETE", f"{JOBS}/{job['id']}")
    assert (gone["state"], gone["started_at"]) == ("cancelled", None)
    await ask.good("POST", "/v1/queues/held/resume")
    await ended(ask, (await submit(ask))["id"])
    assert (await ask.good("GET", f"{JOBS}/{job['id']}"))["attempts"] == []


async def test_a_running_job_that_is_cancelled_stops_within_two_seconds(ask):
    job = await submit(ask, {"waits": True})
    await running(ask, job["id"])
    asked = await ask.good("DELETE", f"{JOBS}/{job['id']}")
    assert asked["state"] == "cancelled" or asked["cancelling"]
    async with asyncio.timeout(heavy.within(2)):
        done = await ended(ask, job["id"])
    assert (done["state"], done["result"], done["cancelling"]) == ("cancelled", None, False)


async def test_a_job_that_has_ended_stays_when_it_is_cancelled(ask):
    job = await submit(ask)
    await ended(ask, job["id"])
    assert (await ask.good("DELETE", f"{JOBS}/{job['id']}"))["state"] == "succeeded"


async def test_a_job_that_did_not_begin_in_time_expires(ask):
    await ask.good("POST", "/v1/queues/held/pause")
    job = await submit(ask, ttl=0.05)
    done = await ended(ask, job["id"])
    assert (done["state"], done["attempts"]) == ("expired", [])
