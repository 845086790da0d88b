"""Every text that a caller can choose is markup, script or worse: pages show it as text, and keep their shape."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx2
import pytest
import pytest_asyncio

from api import web
from running import Running, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

TITLE = "</title><script>document.title='seized'</script>"
TAG = "\"'><img src=x onerror=\"document.title='seized'\"><b>"
LINK = "javascript:document.title='seized'"
TURNED = "{{7*7}}${7*7}\u202egnihtyna\u202c\u2066"
LONG = "w" * 150 + "<i>"
WORDS = (TITLE + TAG + TURNED, LINK, LONG)
NAME = "</title><img/src=x/onerror=\"document.title='seized'\"><b>?#%2e"
ENDLESS = "<u>" + "n" * 10_000
CONFIG = """
[providers.rude]
kind = "openai"
base_url = "http://127.0.0.1:{port}/v1"
api_key = "sk-0123456789abcdef"
[models."rude/*"]
targets = ["rude/*"]
[models.{name}]
targets = ["echo/echo"]
[breaker]
failures = 1
[alerts]
every_s = 0.05
for_s = 0
requests_min = 1
[webhooks]
private_addresses = ["127.0.0.0/8"]
"""
SEIZED = """() => [
  document.title === "seized",
  document.querySelector("main img, main script, main b, main i, main u, main iframe") !== null,
  [...document.links].some((one) => one.protocol === "javascript:"),
  document.documentElement.scrollWidth > innerWidth,
  [...document.querySelectorAll("[data-body]")].some((one) => typeof JSON.parse(one.dataset.body) !== "object"),
  document.querySelector("main").innerText.includes("49${"),
  document.querySelectorAll("h1").length !== 1,
]"""
WRONG = (
    "script ran",
    "markup became an element",
    "javascript: link",
    "sticks out",
    "body",
    "49",
    "headings",
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def provider() -> AsyncIterator[int]:
    """Refuses everything, in words of its own."""
    said = json.dumps({"error": {"message": TAG + ENDLESS, "type": TITLE, "code": LINK}}).encode()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        await reader.readexactly(length)
        line = (
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
        )
        writer.write(line + b"content-length: %d\r\n\r\n%b" % (len(said), said))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture(scope="module")
def running(provider: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serve(
        tmp_path_factory.mktemp("hostile"), CONFIG.format(port=provider, name=json.dumps(NAME))
    ) as started:
        yield started


class _Filled:
    """A house, and what it took of what was handed in."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client
        self.taken: dict[str, int] = {}

    async def post(self, path: str, said: Any, **headers: str) -> Any:
        answer = await self._client.post(path, json=said, headers=headers)
        assert answer.status_code < 500 or "completions" in path, (path, said, answer.text)
        if answer.is_success:
            self.taken[path] = self.taken.get(path, 0) + 1
        return answer.json()

    async def listed(self, path: str) -> Any:
        answer = await self._client.get(path)
        assert answer.status_code == 200, (path, answer.text)
        return answer.json()

    async def fill(self, number: int, words: str) -> None:
        """With names that are these words; ids of teams and the like are plain, as they must be."""
        own = f"id-{number}"
        limits = {"budgets": {"day": {"usd": "0.5"}}}
        await self.post("/api/v1/teams", {"id": own, "name": words, "limits": limits})
        await self.post("/api/v1/users", {"id": own, "name": words, "limits": limits})
        key = {
            "name": words,
            "models": [words, "*"],
            "limits": limits,
            "expires_at": 99_999_999_999,
        }
        await self.post("/api/v1/keys", key)
        await self.post("/api/v1/keys", {**key, "user_id": own, "team_id": own})
        for model in (NAME, "rude/x"):
            chat = {"model": model, "user": words, "messages": [{"role": "user", "content": words}]}
            seen = {"x-request-id": words} if words.isascii() and words.isprintable() else {}
            await self.post("/v1/chat/completions", chat, **seen)
            job = {"kind": "chat.completion", "args": chat, "metadata": {"for": words[:60]}}
            accepted = await self.post("/v1/jobs", job)
            if "id" in accepted:
                await self._client.get(f"/v1/jobs/{accepted['id']}/events")  # ends with the job
        hook = {"url": f"https://a.invalid/{quote(words)}?{words}", "description": words}
        await self.post("/v1/webhooks", hook)
        store = await self.post("/v1/vector_stores", {"name": words, "description": words})
        texts = {"documents": [{"id": "a", "title": words, "text": words}]}
        if "id" in store:
            await self.post(f"/v1/vector_stores/{store['id']}/documents", texts)
        arms = [{"name": name, "model": "echo"} for name in ("a", "b")]
        metric = {"name": "solved", "kind": "binary"}
        tried = {"name": own, "description": words, "arms": arms, "metric": metric}
        made = await self.post("/v1/experiments", tried)
        if "id" in made:
            await self.post(f"/v1/experiments/{made['id']}/start", {"reason": words})

    async def pages(self) -> list[str]:
        """Addresses of all pages, those of what was made here among them."""
        jobs = (await self.listed("/ui/dead-letters.json"))["letters"]
        found = [f"/ui/jobs/{each['id']}" for each in jobs]
        for name, at in (("keys", "keys"), ("teams", "people"), ("users", "people")):
            told = (await self.listed(f"/ui/{name}.json"))[at]
            found += [f"/ui/{name}/{quote(each['id'], safe='')}" for each in told[:6]]
        told = (await self.listed("/ui/requests.json"))["rows"]
        found += [f"/ui/requests/{quote(each['id'], safe='')}" for each in told[:4]]
        told = (await self.listed("/ui/experiments.json"))["experiments"]
        found += [f"/ui/experiments/{quote(each['id'], safe='')}" for each in told]
        told = (await self.listed("/ui/knowledge.json"))["stores"]
        found += [f"/ui/knowledge/{each['id']}" for each in told]
        found.append(f"/ui/models/{quote(NAME, safe='')}")
        names = "requests alerts keys teams users budgets audit jobs dead-letters webhooks models"
        more = "providers experiments knowledge playground settings doctor"
        return ["/ui", *(f"/ui/{name}" for name in f"{names} {more}".split()), *found]


ASKED = (
    *("requests?model={0}&key={0}&user={0}&error={0}&id={0}", "audit?actor={0}&object_id={0}"),
    *("keys?q={0}", "models?q={0}", "settings?q={0}", "dead-letters?queue={0}&error={0}"),
    *("webhooks?job={0}&webhook={0}", "jobs?kind={0}&queue={0}", "alerts?before={0}", "keys?{0}=1"),
    *("jobs?state={0}", "requests?since={0}", "users/{0}", "models/{0}", "jobs/{0}"),
)


async def test_what_callers_choose_is_shown_as_text_and_runs_nowhere(visit, running):
    bearer = {"authorization": f"Bearer {running.key}"}
    async with web(running.url, headers=bearer) as client:
        house = _Filled(client)
        for number, words in enumerate((*WORDS, "nul\x00<b>", ENDLESS)):
            await house.fill(number, words)
        for path in ("keys", "teams", "users"):
            assert house.taken[f"/api/v1/{path}"], path
        for path in ("webhooks", "vector_stores", "experiments", "jobs", "chat/completions"):
            assert house.taken[f"/v1/{path}"], path
        paths = await house.pages()
    paths += [f"/ui/{asked.format(quote(words, safe=''))}" for asked in ASKED for words in (TAG,)]
    wrong = []
    expected = ("status of 40",)  # what is asked for is no state, no time, no job
    async with visit(running, width="phone", expected=expected) as page:
        for path in paths:
            await page.goto(path, wait_until="load")
            found = await page.evaluate(SEIZED)
            wrong += [f"{path}: {name}" for name, is_so in zip(WRONG, found, strict=True) if is_so]
    assert not wrong, "\n".join(wrong)
