"""Requests, keys, people, budgets and experiments in a browser: a story each."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from api import web
from gatemill.core.clock import SystemClock
from gatemill.fake_provider import server as fake_provider
from gatemill.ledger.ledger import Ledger
from running import Running, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONFIG = """
[providers.up]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream-key"
[providers.down]
kind = "openai"
base_url = "http://127.0.0.1:9/v1"
api_key = "sk-down-key"
[models.priced]
targets = ["down/gone", "up/fake"]
strategy = "order"
[prices."up/fake"]
input = 1000
output = 1000
[prices."down/gone"]
input = 1000
output = 1000
"""
CHATS_MAX = 200
SECRET = re.compile(r"gm-[0-9a-z]{10}-[0-9A-Za-z]{43}")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    provider = await fake_provider.start("127.0.0.1", 0)
    with serve(tmp_path_factory.mktemp("who"), CONFIG.format(url=provider.url)) as started:
        yield started
    await provider.stop()


async def _chat(running, key, model="priced"):
    said = {"model": model, "messages": [{"role": "user", "content": "one"}], "max_tokens": 3}
    async with web(running.url) as client:
        headers = {"authorization": f"Bearer {key}"}
        return await client.post("/v1/chat/completions", json=said, headers=headers)


async def _made(page, dialog, **fields):
    """Fills the form behind a button and sends it."""
    await page.click(dialog)
    form = page.locator("dialog[open] form")
    for name, value in fields.items():
        await form.locator(f"[name='{name.replace('__', '.')}']").fill(value)
    await form.locator("button.act").click()


async def _shown_once(page):
    """The secret that a dialog shows, which is then closed."""
    await page.locator("#told[open]").wait_for()
    found = SECRET.fullmatch(await page.locator("#told-value").inner_text())
    await page.click("#told .act")
    return found[0]


async def test_a_key_with_a_budget_is_made_used_refused_rotated_and_revoked(visit, running):
    async with visit(running, "/ui/keys") as page:
        said = {"name": "my service", "expires_at": "2040-01-01T12:30"}
        await _made(page, "text=New key", limits__budgets__day__usd="0.2", **said)
        secret = await _shown_once(page)
        await page.locator("td", has_text="my service").wait_for()
        assert secret not in await page.content()
        codes = []
        while len(codes) < CHATS_MAX and 429 not in codes and 402 not in codes:
            codes.append((await _chat(running, secret)).status_code)
        assert set(codes[:-1]) == {200}
        await page.goto("/ui/budgets?scope=key")
        row = page.locator("tr", has_text="my service")
        assert "$0.2" in await row.inner_text()
        assert "1 by budgets of a key" in await page.inner_text("main")
        await row.locator("a").click()
        await page.wait_for_url("**/ui/keys/*")
        assert "priced" in await page.inner_text("main")
        assert await page.locator("time[datetime='2040-01-01T12:30:00Z']").count() == 1
        await _made(page, "text=Edit", limits__budgets__day__usd="", limits__concurrency="7")
        await page.locator("text=concurrency").first.wait_for()
        assert "budget day" not in await page.inner_text("main")
        assert (await _chat(running, secret)).status_code == 200
        older = page.url
        await page.click("text=Rotate")
        await page.click("dialog[open] button.act")
        newer = await _shown_once(page)
        await page.wait_for_url(lambda url: url != older)
        for working in (secret, newer):
            assert (await _chat(running, working)).status_code == 200
        await page.click("text=Revoke")
        assert "my service" in await page.inner_text("#ask-words")
        await page.click("#ask .act")
        await page.locator("h1 .badge", has_text="revoked").wait_for()
        assert (await _chat(running, newer)).status_code == 401


async def test_a_request_is_looked_for_and_its_attempts_are_drawn(visit, running):
    for _ in range(2):
        await _chat(running, running.key)
    async with visit(running, "/ui/requests") as page:
        await page.select_option("[name=status]", "error")
        await page.wait_for_url("**status=error*")
        assert page.url.endswith("?status=error")  # nothing empty is asked for
        rows = await page.locator("tbody tr").all_inner_texts()
        assert rows
        assert all("upstream_unreachable" in row for row in rows)
        await page.locator("tbody a").first.click()
        await page.wait_for_url("**/ui/requests/req_*")
        drawn = await page.locator("svg.timeline").get_attribute("aria-label")
        for word in ("down/gone", "up/fake", "succeeded"):
            assert word in drawn


async def test_a_team_and_a_user_are_made_and_every_change_is_in_the_audit_log(visit, running):
    async with visit(running, "/ui/teams") as page:
        await _made(page, "text=New team", id="core", name="Core", limits__budgets__month__usd="5")
        await page.wait_for_url("**/ui/teams/core")
        await page.goto("/ui/users")
        await _made(page, "text=New user", id="ada", team_id="core")
        await page.wait_for_url("**/ui/users/ada")
        await _made(page, "text=Edit", name="Ada", team_id="")
        await page.locator("h1", has_text=re.compile("^Ada")).wait_for()
        assert "core" not in await page.inner_text("dl.facts")
        await page.goto("/ui/audit?since=1h")
        told = await page.inner_text("main table")
        for word in ("team core", "user ada", "sign_in", "dev"):
            assert word in told, word


async def test_an_experiment_is_started_watched_and_concluded(visit, running):
    arms = [{"name": name, "model": "echo"} for name in ("a", "b")]
    said = {"name": "try", "arms": arms, "metric": {"name": "solved", "kind": "binary"}}
    async with web(running.url) as client:
        headers = {"authorization": f"Bearer {running.key}"}
        assert (await client.post("/v1/experiments", json=said, headers=headers)).status_code == 201
    async with visit(running, "/ui/experiments") as page:
        await page.click("text=try")
        await _made(page, "button:has-text('Start')", reason="to see")
        await page.locator("h1 .badge", has_text="running").wait_for()
        await asyncio.gather(*(_chat(running, running.key, "try") for _ in range(5)))
        await page.reload()
        assert "too few outcomes yet" in await page.inner_text("main")
        await page.click("button:has-text('Conclude')")
        await page.select_option("dialog[open] [name=winner]", "b")
        await page.click("dialog[open] button.act")
        await page.locator("h1 .badge", has_text="concluded").wait_for()
        assert "The winner is b" in await page.inner_text("main")
        assert "to see" in await page.inner_text("main")


async def test_a_link_and_a_key_lead_to_the_page_that_was_asked_for(visit, running):
    ledger = Ledger.open(running.data_dir, None, SystemClock())
    token = await ledger.sessions.create_link(running.key.split("-")[1])
    await ledger.close()
    path = f"/ui/login?token={token}&next=/ui/audit"
    async with visit(running, path, signed_in=False, expected=("401",)) as page:
        await page.click("text=Sign in")
        await page.wait_for_url("**/ui/audit")
        await page.context.clear_cookies()
        await page.goto(path)
        await page.click("button")
        assert "was used already" in await page.inner_text("[role=alert]")
        await page.fill("#key", running.key)
        await page.click("button[type=submit]")
        await page.wait_for_url("**/ui/audit")
