"""What pages ask for on somebody's account: by whom, from where, and who pays."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio
from msgspec import structs

from api import web
from gatemill.fake_provider import server as fake_provider
from gatemill.ledger.reports import Query
from gatemill.ledger.sessions import Person
from house_for_tests import opened

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = """
[providers.up]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream-key"
[models.paid]
targets = ["up/fake"]
[models.also]
targets = ["up/fake"]
[prices."up/fake"]
input = 1000
output = 1000
"""
CHAT = {"model": "paid", "messages": [{"role": "user", "content": "hello big world"}]}
JOB = {"kind": "chat.completion", "args": CHAT}
RAG = {"query": "what about rain", "store": "none-such", "answer": False}
SPENDING = (("/ui/playground/chat", CHAT), ("/ui/jobs", JOB), ("/ui/knowledge/answer", RAG))
OWN = {"sec-fetch-site": "same-origin"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(tmp_path_factory):
    provider = await fake_provider.start("127.0.0.1", 0)
    config = CONFIG.format(url=provider.url)
    async with opened(tmp_path_factory.mktemp("playground"), config) as home:
        yield home
    await provider.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(gate):
    async with web(gate.url) as client:
        yield client


async def signed_in(gate, *scopes: str, **more: Any) -> tuple[dict[str, str], str]:
    """The headers of our own page with a new key's session, and that key's id."""
    made = await gate.home.ledger.create_key("k", scopes=scopes, admin="admin" in scopes, **more)
    return await session(gate, gate.door.signin.person(made.secret)), made.secret.split("-")[1]


async def session(gate, person: Person) -> dict[str, str]:
    signin = gate.door.signin
    cookie = await signin.ledger.sessions.begin(person, signin.terms.patience, "127.0.0.1")
    return OWN | {"cookie": f"gatemill={cookie}"}


async def spent(gate, key_id: str) -> tuple[int, int]:
    """Requests and micro-dollars of a key, as the ledger has them."""
    await gate.home.ledger.flushed()
    asked = Query(0.0, 4e9, by=("key",))
    lines = await gate.home.ledger.reports.usage(asked)
    mine = [line for line in lines if line.key_id == key_id]
    return sum(line.requests for line in mine), sum(line.cost_microusd or 0 for line in mine)


async def test_an_answer_is_on_the_account_of_the_sessions_key(gate, client):
    headers, key_id = await signed_in(gate, "admin")
    whole = await client.post("/ui/playground/chat", json=CHAT, headers=headers)
    assert whole.status_code == 200, whole.text
    assert whole.json()["choices"][0]["message"]["content"]
    assert whole.headers["x-gatemill-model"] == "up/fake"
    streamed = await client.post(
        "/ui/playground/chat", json={**CHAT, "stream": True}, headers=headers
    )
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert ": gatemill " in streamed.text
    requests, microusd = await spent(gate, key_id)
    assert requests == 2
    assert microusd > 0


async def test_limits_hold_as_they_do_elsewhere(gate, client):
    headers, key_id = await signed_in(gate, "admin:read", "inference")
    said = {"limits": {"requests_per_minute": 1}}
    admin = {"authorization": f"Bearer {gate.key}"}
    assert (await client.patch(f"/api/v1/keys/{key_id}", json=said, headers=admin)).is_success
    found = [
        (await client.post("/ui/playground/chat", json=CHAT, headers=headers)).status_code
        for _ in range(2)
    ]
    assert found == [200, 429]


@pytest.mark.parametrize(("path", "said"), SPENDING)
async def test_another_site_spends_nothing(gate, client, path, said):
    headers, key_id = await signed_in(gate, "admin")
    for other in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "origin": gate.url},
    ):
        answer = await client.post(path, json=said, headers=headers | other)
        assert answer.status_code == 403, (path, other)
    # A form of another site cannot say that it is JSON.
    plain = {"content-type": "text/plain"}
    answer = await client.post(path, content=b"{}", headers=headers | plain)
    assert answer.status_code == 403
    assert await spent(gate, key_id) == (0, 0)


@pytest.mark.parametrize(("path", "said"), SPENDING)
async def test_a_session_may_what_its_key_may(gate, client, path, said):
    headers, _ = await signed_in(gate, "admin:read")
    answer = await client.post(path, json=said, headers=headers)
    assert answer.status_code == 403
    assert "scope" in answer.json()["error"]["message"]
    assert (await client.post(path, json=said, headers=OWN)).status_code == 401


@pytest.mark.parametrize(("path", "said"), [*SPENDING, ("/ui/webhooks", {})])
async def test_whoever_came_by_an_identity_provider_has_no_key_to_pay_with(
    gate, client, path, said
):
    signin = gate.door.signin
    before, signin.terms = signin.terms, structs.replace(signin.terms, provider=object())
    try:
        headers = await session(gate, Person(scopes=("admin",), subject="ada@example.com"))
        answer = await client.post(path, json=said, headers=headers)
        assert answer.status_code == 403
        assert "sign in with that key" in answer.json()["error"]["message"]
        page = await client.get("/ui/playground", headers=headers)
        assert "There is no key that could pay" in page.text
    finally:
        signin.terms = before


async def test_the_page_says_what_may_be_asked(gate, client):
    headers, key_id = await signed_in(gate, "admin")
    told = (await client.get("/ui/playground.json", headers=headers)).json()
    names = [model["name"] for model in told["models"]]
    assert {"echo", "paid"} <= set(names)
    assert told["first"] == "paid"  # that of the file, not of the alphabet
    assert "builtin/sentiment" not in names
    assert told["account"] == {"key_id": key_id, "key_name": "k", "refusal": ""}
    reader, _ = await signed_in(gate, "admin:read")
    page = await client.get("/ui/playground", headers=reader)
    assert "Your key may not ask models" in page.text
    assert " disabled" in page.text


async def test_a_key_in_a_header_works_there_too(gate, client):
    headers = {"authorization": f"Bearer {gate.key}"}
    answer = await client.post("/ui/playground/chat", json=CHAT, headers=headers)
    assert answer.status_code == 200
