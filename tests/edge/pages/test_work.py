"""Pages of jobs, dead letters, webhooks, knowledge and settings: what their twins say."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from api import Api, web
from house_for_tests import opened
from sink import Sink

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = """
[server]
port = 9123
[models.echo]
targets = ["echo/echo"]
[jobs]
kinds = ["kind_no_luck"]
[webhooks]
private_addresses = ["127.0.0.0/8"]
"""
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "<b>hello</b>"}]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(tmp_path_factory):
    async with opened(tmp_path_factory.mktemp("work"), CONFIG, works=True) as home:
        yield home


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ask(gate):
    async with web(gate.url) as client:
        yield Api(gate, client)


async def ended(ask, kind: str, args: Any, **more: Any) -> str:
    said = await ask("POST", "/v1/jobs", {"kind": kind, "args": args, **more})
    assert said.status == 202, said.body
    await ask("GET", f"/v1/jobs/{said.json['id']}/events")  # ends with the job
    return str(said.json["id"])


async def test_a_job_is_shown_with_its_arguments_its_result_and_its_history(ask):
    job = await ended(ask, "chat.completion", CHAT, metadata={"for": "ada"})
    told = await ask.good("GET", f"/ui/jobs/{job}.json")
    assert told["state"] == "succeeded"
    assert told["metadata"] == {"for": "ada"}
    assert '"<b>hello</b>"' in told["args"]["text"]
    assert "<b>hello</b>" in told["result"]["text"]
    assert [one["outcome"] for one in told["attempts"]] == ["succeeded"]
    assert told["is_final"] is True
    assert (await ask("GET", "/ui/jobs/job_none.json")).status == 404
    reader = await ask.good("POST", "/api/v1/keys", {"name": "looks", "scopes": ["admin:read"]})
    seen = await ask("GET", f"/ui/jobs/{job}.json", key=reader["secret"])
    assert (seen.status, seen.json["args"]) == (200, None)


async def test_what_is_long_is_cut_and_says_so(ask):
    turn = {"role": "user", "content": "x" * 40_000}
    job = await ended(ask, "chat.completion", {"model": "echo", "messages": [turn]})
    told = await ask.good("GET", f"/ui/jobs/{job}.json")
    assert told["args"]["is_cut"] is True
    assert len(told["args"]["text"]) == 16_384
    assert told["args"]["bytes"] > 40_000


async def test_the_list_shows_queues_workers_and_a_page_of_jobs(ask):
    job = await ended(ask, "chat.completion", CHAT)
    told = await ask.good("GET", "/ui/jobs.json?kind=chat.completion&state=succeeded")
    assert told["jobs"][0]["id"] == job
    assert {each["kind"] for each in told["jobs"]} == {"chat.completion"}
    assert "inference" in [queue["name"] for queue in told["queues"]]
    assert told["workers"][0]["is_silent"] is False
    assert "chat.completion" in told["submits"]
    assert "webhook" not in told["submits"]
    await ask.good("POST", "/v1/queues/replay/pause", {})
    told = await ask.good("GET", "/ui/jobs.json")
    assert [queue["name"] for queue in told["queues"] if queue["paused"]] == ["replay"]
    await ask.good("POST", "/v1/queues/replay/resume", {})
    assert (await ask("GET", "/ui/jobs.json?state=lost")).status == 400


async def test_pages_of_a_list_hang_together(ask):
    for _ in range(3):
        await ended(ask, "no_luck", {})
    every = (await ask.good("GET", "/ui/dead-letters.json?kind=no_luck"))["letters"]
    assert len(every) >= 3
    assert every[0]["error"] == {"code": "no_luck", "message": "It was not to be."}
    after = await ask.good("GET", f"/ui/dead-letters.json?kind=no_luck&after={every[0]['id']}")
    assert [one["id"] for one in after["letters"]] == [one["id"] for one in every[1:]]
    none = await ask.good("GET", "/ui/dead-letters.json?error=another")
    assert none["letters"] == []
    assert none["filter"] == {"error": "another"}


async def test_deliveries_are_shown_with_what_was_sent_and_what_came_of_it(ask):
    async with Sink() as sink:
        made = await ask.good("POST", "/v1/webhooks", {"url": sink.url})
        job = await ended(ask, "no_luck", {})
        found = (await ask.good("GET", f"/ui/webhooks.json?job={job}"))["deliveries"]
        await ask("GET", f"/v1/jobs/{found[0]['id']}/events")  # ends with the delivery
        assert (found[0]["webhook_id"], found[0]["url"]) == (made["id"], sink.url)
        told = await ask.good("GET", f"/ui/webhooks/deliveries/{found[0]['id']}.json")
        assert job in told["body"]
        assert [(one["status"], one["error"]) for one in told["tries"]] == [(200, "")]
        page = await ask.good("GET", f"/ui/webhooks.json?webhook={made['id']}")
        assert page["endpoints"][0]["enabled"] is True
        assert "secret" not in page["endpoints"][0]
        shown = await ask.good("GET", f"/ui/jobs/{job}.json")
        assert [one["id"] for one in shown["deliveries"]] == [found[0]["id"]]
        await ask.good("DELETE", f"/v1/webhooks/{made['id']}")


async def test_stores_are_shown_to_their_owner_alone(ask):
    store = (await ask.good("POST", "/v1/vector_stores", {"name": "docs"}))["id"]
    text = {"documents": [{"id": "rain", "title": "rain.txt", "text": "Rain falls in the plain."}]}
    await ask.good("POST", f"/v1/vector_stores/{store}/documents", text)
    told = await ask.good("GET", "/ui/knowledge.json")
    assert [one["name"] for one in told["stores"]] == ["docs"]
    assert told["bytes"] > 0
    one = await ask.good("GET", f"/ui/knowledge/{store}.json?status=completed")
    assert [file["title"] for file in one["files"]] == ["rain.txt"]
    made = {"name": "other", "scopes": ["admin:read", "knowledge"]}
    other = (await ask.good("POST", "/api/v1/keys", made))["secret"]
    assert (await ask("GET", f"/ui/knowledge/{store}.json", None, other)).status == 404
    assert (await ask.good("GET", "/ui/knowledge.json", None, other))["stores"] == []


async def test_settings_say_what_was_said_and_where(ask, tmp_path):
    told = await ask.good("GET", "/ui/settings.json")
    changed = {one["path"]: one for one in told["changed"]}
    assert changed["server.port"]["value"] == 9123
    assert changed["server.port"]["origin"].endswith("gatemill.toml:3")
    assert "server.host" in [one["path"] for one in told["defaults"]]
    assert [one["version"] for one in told["history"]] == [told["version"]]
    found = await ask.good("GET", "/ui/settings.json?q=private%20addresses&show=changed")
    assert [one["path"] for one in found["changed"]] == ["webhooks.private_addresses.0"]
    assert found["defaults"] == []


async def test_who_may_only_look_is_offered_no_changes(gate, ask):
    made = {"name": "reader", "scopes": ["admin:read"]}
    reader = (await ask.good("POST", "/api/v1/keys", made))["secret"]
    signin = gate.door.signin
    cookie = await signin.ledger.sessions.begin(
        signin.person(reader), signin.terms.patience, "127.0.0.1"
    )
    job = await ended(ask, "no_luck", {})
    for path in ("jobs", f"jobs/{job}", "dead-letters", "webhooks", "settings"):
        page = await ask("GET", f"/ui/{path}", None, "", cookie=f"gatemill={cookie}")
        assert page.status == 200, page.body
        assert b"data-send" not in page.body, path
        assert b"data-reload" not in page.body, path
        assert b"data-many" not in page.body, path
