"""/v1/webhooks over real HTTP, with a real server that is told."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest
from openai import OpenAI
from standardwebhooks import Webhook

import heavy
import sink as sinks
from house_for_tests import opened
from sdks import openai_at
from sink import HANG, Sink

CONFIG = """
[webhooks]
private_addresses = ["127.0.0.0/8"]
endpoints_max = 3
disable_after = 1
timeout_s = 60
"""
DELAY_S_MAX = heavy.within(1.0)  # a try hangs for longer
PATH = "/v1/webhooks"
JOB = {
    "kind": "chat.completion",
    "args": {"model": "echo", "messages": [{"role": "user", "content": "hi"}]},
}
PATIENCE_S = 60.0


@pytest.fixture
async def gate(tmp_path):
    async with opened(tmp_path, CONFIG, works=True) as running:
        yield running


@pytest.fixture
async def sink():
    async with Sink() as found:
        yield found


@pytest.fixture
async def plain(ask):
    """The secret of a key that is no admin's."""
    return (await ask.good("POST", "/api/v1/keys", {"name": "plain"}))["secret"]


async def made(ask, sink, key=None, **said):
    answer = await ask("POST", PATH, {"url": sink.url, **said}, key)
    assert answer.status == 201, answer.body
    return answer.json


async def delivered(ask, count: int = 1, state: str = "succeeded"):
    """The deliveries in this state, once there are so many."""
    given_up_s = time.monotonic() + PATIENCE_S
    while True:
        found = (await ask("GET", f"{PATH}/deliveries?state={state}")).json["data"]
        if len(found) >= count:
            return found
        assert time.monotonic() < given_up_s, found
        await asyncio.sleep(0.01)


async def submitted(ask, key=None, **more) -> str:
    answer = await ask("POST", "/v1/jobs", {**JOB, **more}, key)
    assert answer.status == 202, answer.body
    return answer.json["id"]


# --- Endpoints ---------------------------------------------------------------------------------------


async def test_an_endpoint_is_made_listed_changed_and_deleted_and_its_secret_is_shown_once(
    ask, sink
):
    one = await made(ask, sink, events=["job.*"], description="for a test")
    assert one["object"] == "webhook"
    assert one["enabled"] is True
    secret = one.pop("secret")
    assert secret.startswith("whsec_")
    path = f"{PATH}/{one['id']}"
    assert (await ask("GET", path)).json == one
    listed = (await ask("GET", PATH)).json
    assert listed == {"object": "list", "data": [one], "has_more": False}
    changed = (await ask("PATCH", path, {"enabled": False, "events": ["*"]})).json
    assert (changed["enabled"], changed["events"]) == (False, ["*"])
    assert changed["disabled_reason"] == "Its owner disabled it."
    assert (await ask("PATCH", path, {})).json == changed
    gone = await ask("DELETE", path)
    assert gone.json == {"object": "webhook", "id": one["id"], "deleted": True}
    assert (await ask("GET", path)).status == 404
    assert (await ask("DELETE", path)).status == 404


async def test_pages_follow_each_other(ask, sink):
    ids = {(await made(ask, sink))["id"] for _ in range(3)}
    first = (await ask("GET", f"{PATH}?limit=2")).json
    assert first["has_more"] is True
    rest = (await ask("GET", f"{PATH}?limit=2&after={first['data'][-1]['id']}")).json
    assert rest["has_more"] is False
    assert {one["id"] for one in [*first["data"], *rest["data"]]} == ids
    fourth = await ask("POST", PATH, {"url": sink.url})
    assert fourth.status == 400
    assert "3 endpoints" in fourth.json["error"]["message"]


NO_ENDPOINTS = [
    ({}, "url"),
    ({"url": 5}, "url"),
    ({"url": "http://10.0.0.1/"}, "url"),
    ({"url": "http://169.254.169.254/latest"}, "url"),
    ({"url": "https://user:pw@example.com/"}, "url"),
    ({"url": "ftp://example.com/"}, "url"),
    ({"url": "https://example.com/", "events": ["job.done"]}, "events"),
    ({"url": "https://example.com/", "events": []}, "events"),
    ({"url": "https://example.com/", "events": "*"}, "events"),
    ({"url": "https://example.com/", "description": "x" * 201}, "description"),
    ({"url": "https://example.com/", "secret": "whsec_x"}, "secret"),
    (b"{", None),
]


async def test_what_no_endpoint_can_be_is_refused_by_name_and_leaves_nothing(ask):
    for body, param in NO_ENDPOINTS:
        answer = await ask("POST", PATH, body)
        assert answer.status == 400, body
        assert answer.json["error"]["param"] == param
        assert "10.0" not in answer.json["error"]["message"]
    assert (await ask("GET", PATH)).json["data"] == []


async def test_a_change_is_checked_as_a_new_one_is(ask, sink):
    one = await made(ask, sink)
    path = f"{PATH}/{one['id']}"
    for body in ({"url": "http://[::1]/"}, {"events": ["x"]}, {"enabled": "no"}, {"id": "we_1"}):
        assert (await ask("PATCH", path, body)).status == 400, body
    assert (await ask("POST", f"{path}/rotate", {"overlap_s": -1})).status == 400
    assert (await ask("GET", path)).json["url"] == sink.url


async def test_nobody_sees_what_is_somebody_elses_but_an_admin(ask, sink, plain):
    mine = await made(ask, sink)
    theirs = await made(ask, sink, plain)
    await submitted(ask)
    (delivery,) = await delivered(ask)
    for method, path in (
        ("GET", f"{PATH}/{mine['id']}"),
        ("PATCH", f"{PATH}/{mine['id']}"),
        ("DELETE", f"{PATH}/{mine['id']}"),
        ("POST", f"{PATH}/{mine['id']}/rotate"),
        ("POST", f"{PATH}/{mine['id']}/test"),
        ("GET", f"{PATH}/deliveries/{delivery['id']}"),
        ("POST", f"{PATH}/deliveries/{delivery['id']}/resend"),
        ("GET", f"{PATH}/we_nothing"),
    ):
        answer = await ask(method, path, None if method in ("GET", "DELETE") else {}, plain)
        assert answer.status == 404, (method, path)
    assert [one["id"] for one in (await ask("GET", PATH, None, plain)).json["data"]] == [
        theirs["id"]
    ]
    assert (await ask("GET", f"{PATH}/deliveries", None, plain)).json["data"] == []
    assert len((await ask("GET", PATH)).json["data"]) == 2
    own = (await ask("GET", f"{PATH}/default_secret", None, plain)).json["secret"]
    assert own != (await ask("GET", f"{PATH}/default_secret")).json["secret"]


async def test_without_a_key_nothing_is_told(ask):
    for method, path in (
        ("GET", ""),
        ("POST", ""),
        ("GET", "/we_1"),
        ("PATCH", "/we_1"),
        ("DELETE", "/we_1"),
        ("POST", "/we_1/rotate"),
        ("POST", "/we_1/test"),
        ("POST", "/test"),
        ("GET", "/default_secret"),
        ("POST", "/default_secret/rotate"),
        ("GET", "/deliveries"),
        ("GET", "/deliveries/wh_1"),
        ("POST", "/deliveries/wh_1/resend"),
    ):
        assert (await ask(method, PATH + path, key="")).status == 401, (method, path)


# --- Told --------------------------------------------------------------------------------------------


async def test_a_job_is_told_to_the_endpoint_and_to_its_callback(ask, sink):
    one = await made(ask, sink, events=["job.succeeded"])
    async with Sink(path="/cb") as callback:
        job_id = await submitted(ask, callback_url=callback.url, metadata={"a": "b"})
        await callback.saw(1)
        await sink.saw(1)
        (told,) = callback.seen
    event = Webhook(one["secret"]).verify(sink.seen[0].body, sink.seen[0].headers)
    assert (event["type"], event["data"]["id"]) == ("job.succeeded", job_id)
    assert event["data"]["metadata"] == {"a": "b"}
    default = (await ask("GET", f"{PATH}/default_secret")).json["secret"]
    assert Webhook(default).verify(told.body, told.headers)["data"]["id"] == job_id
    found = await delivered(ask, 2)
    by_job = (await ask("GET", f"{PATH}/deliveries?job={job_id}")).json["data"]
    assert by_job == found
    assert {each["webhook_id"] for each in found} == {one["id"], None}
    (mine,) = (await ask("GET", f"{PATH}/deliveries?webhook={one['id']}")).json["data"]
    assert mine["id"] == sink.seen[0].id
    assert (mine["status"], mine["next_try_at"], mine["url"]) == (200, None, None)
    whole = (await ask("GET", f"{PATH}/deliveries/{mine['id']}")).json
    assert [each["status"] for each in whole["tries"]] == [200]


async def test_a_background_response_is_told_in_openais_words(ask, gate, sink):
    one = await made(ask, sink)
    client = openai_at(gate.url, gate.key)
    response = await client.responses.create(model="echo", input="hi", background=True)
    (seen,) = await sink.saw(1)
    await client.close()
    event = OpenAI(api_key="none").webhooks.unwrap(seen.body, seen.headers, secret=one["secret"])
    assert event.type == "response.completed"
    assert event.data.id == response.id
    (found,) = (await ask("GET", f"{PATH}/deliveries?job={response.id}")).json["data"]
    assert found["subject"] == response.id


async def test_a_hanging_endpoint_delays_no_other(ask, sink):
    await made(ask, sink, events=["job.*"])
    sink.by_default = HANG
    for _ in range(3):
        await ask("POST", "/v1/jobs", {"jobs": [JOB] * 40})
    await sink.saw(4)  # as many as one host gets at once
    async with Sink("127.0.0.2") as quick:
        asked_s = asyncio.get_running_loop().time()
        await submitted(ask, callback_url=quick.url)
        (seen,) = await quick.saw(1)
    assert seen.at_s - asked_s < DELAY_S_MAX
    assert len(sink.seen) == 4


async def test_a_cancelled_job_is_told_as_cancelled_and_never_as_completed(ask, sink):
    await made(ask, sink)
    job_id = await submitted(ask, run_at=time.time() + 3600)
    assert (await ask("DELETE", f"/v1/jobs/{job_id}")).status == 200
    (seen,) = await sink.saw(1)
    assert msgspec.json.decode(seen.body)["type"] == "job.cancelled"
    await delivered(ask)
    assert len((await ask("GET", f"{PATH}/deliveries")).json["data"]) == 1


async def test_notifications_are_not_among_the_jobs(ask, sink):
    await made(ask, sink)
    await submitted(ask)
    await delivered(ask)
    assert [one["kind"] for one in (await ask("GET", "/v1/jobs")).json["data"]] == [
        "chat.completion"
    ]
    answer = await ask("POST", "/v1/jobs", {"kind": "webhook", "args": {}})
    assert answer.status == 400


# --- Acts --------------------------------------------------------------------------------------------


async def test_a_test_says_what_came_back_and_is_signed(ask, sink):
    one = await made(ask, sink)
    path = f"{PATH}/{one['id']}/test"
    sink.answers = [204, 404, sinks.CLOSE]
    good, bad, worse = [(await ask("POST", path)).json for _ in range(3)]
    assert (good["delivered"], good["status"], good["error"]) == (True, 204, None)
    assert (bad["delivered"], bad["status"]) == (False, 404)
    assert bad["error"] == "The server answered 404."
    assert (worse["delivered"], worse["status"]) == (False, None)
    assert "closed the connection" in worse["error"]
    event = Webhook(one["secret"]).verify(sink.seen[0].body, sink.seen[0].headers)
    assert event["type"] == "webhook.test"
    assert sink.seen[0].id == good["id"]
    assert (await ask("GET", f"{PATH}/deliveries")).json["data"] == []


async def test_a_url_is_tested_as_a_callback_would_be_told(ask, sink):
    said = (await ask("POST", f"{PATH}/test", {"url": sink.url})).json
    assert (said["delivered"], said["status"]) == (True, 200)
    secret = (await ask("GET", f"{PATH}/default_secret")).json["secret"]
    event = Webhook(secret).verify(sink.seen[0].body, sink.seen[0].headers)
    assert event["type"] == "webhook.test"
    refused = await ask("POST", f"{PATH}/test", {"url": "http://10.0.0.1/"})
    assert (refused.status, refused.json["error"]["param"]) == (400, "url")
    assert (await ask("POST", f"{PATH}/test", {})).status == 400


async def test_a_host_that_is_busy_is_not_tested(ask, sink):
    sink.by_default = HANG
    tests = [
        asyncio.ensure_future(ask("POST", f"{PATH}/test", {"url": sink.url})) for _ in range(4)
    ]
    await sink.saw(4)
    answer = await ask("POST", f"{PATH}/test", {"url": sink.url})
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    for test in tests:
        test.cancel()
    await asyncio.gather(*tests, return_exceptions=True)


async def test_after_a_rotation_both_secrets_verify(ask, sink):
    one = await made(ask, sink)
    new = (await ask("POST", f"{PATH}/{one['id']}/rotate")).json
    assert new["older_secret_until"] == pytest.approx(time.time() + 86_400, abs=60)
    await submitted(ask)
    (seen,) = await sink.saw(1)
    for secret in (one["secret"], new["secret"]):
        Webhook(secret).verify(seen.body, seen.headers)


async def test_the_default_secret_is_rotated(ask):
    old = (await ask("GET", f"{PATH}/default_secret")).json
    assert old == {"object": "webhook.secret", "secret": old["secret"], "older_until": None}
    new = (await ask("POST", f"{PATH}/default_secret/rotate", {"overlap_s": 60})).json
    assert new["secret"] != old["secret"]
    assert new["older_until"] == pytest.approx(time.time() + 60, abs=30)
    assert (await ask("GET", f"{PATH}/default_secret")).json == new


async def test_a_notification_is_sent_again_on_demand_under_the_same_id(ask, sink):
    await made(ask, sink)
    sink.answers = [410]
    await submitted(ask)
    (dead,) = await delivered(ask, state="dead")
    assert dead["error"]["code"] == "webhook_gone"
    (one,) = (await ask("GET", PATH)).json["data"]
    assert (one["enabled"], one["disabled_reason"]) == (False, "It answered 410 Gone.")
    await ask("PATCH", f"{PATH}/{one['id']}", {"enabled": True})
    path = f"{PATH}/deliveries/{dead['id']}"
    answer = await ask("POST", f"{path}/resend")
    assert answer.status == 202
    await sink.saw(2)
    await delivered(ask)
    assert (await ask("POST", f"{path}/resend")).status == 202
    await sink.saw(3)
    assert {seen.id for seen in sink.seen} == {dead["id"]}


async def test_one_that_waits_for_its_next_try_is_sent_now_on_demand(ask, sink):
    await made(ask, sink)
    sink.answers = [sinks.answer(503, "retry-after: 7200")]
    await submitted(ask)
    (one,) = await delivered(ask, state="scheduled")
    assert one["next_try_at"] > time.time() + 7000
    answer = await ask("POST", f"{PATH}/deliveries/{one['id']}/resend")
    assert answer.status == 202
    await sink.saw(2)
    (one,) = await delivered(ask)
    assert one["attempt"] == 2


async def test_what_is_on_its_way_is_not_sent_again(ask, sink):
    await made(ask, sink)
    sink.by_default = HANG
    await submitted(ask)
    await sink.saw(1)
    (one,) = await delivered(ask, state="running")
    answer = await ask("POST", f"{PATH}/deliveries/{one['id']}/resend")
    assert answer.status == 409


async def test_a_question_that_is_none_is_refused(ask):
    for query in ("state=done", "limit=0", "limit=1001", "page=2", "job=a&job=b"):
        assert (await ask("GET", f"{PATH}/deliveries?{query}")).status == 400, query


async def test_no_secret_is_in_the_log(ask, gate, sink, tmp_path):
    one = await made(ask, sink)
    await submitted(ask, callback_url=sink.url)
    await delivered(ask, 2)
    default = (await ask("GET", f"{PATH}/default_secret")).json["secret"]
    log = (tmp_path / "log.jsonl").read_text()
    for secret in (one["secret"], default):
        assert secret.removeprefix("whsec_") not in log
