"""Knowledge, the playground and the settings in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from api import web
from gatemill.fake_provider import server as fake_provider
from running import Running, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CONFIG = """
[providers.up]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-0123456789abcdef"
[models.endless]
targets = ["up/fake+words=100+slow=5"]
"""
MARKUP = "<img src=x onerror=alert(1)> hello"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trying")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(folder: Path) -> AsyncIterator[Running]:
    provider = await fake_provider.start("127.0.0.1", 0)
    with serve(folder, CONFIG.format(url=provider.url)) as started:
        yield started
    await provider.stop()


async def test_two_models_answer_side_by_side_as_text_and_one_is_stopped(visit, running):
    async with visit(running, "/ui/playground", expected=("404",)) as page:
        await page.fill("[name=left]", "echo")
        await page.fill("[name=right]", "no-such-model")
        await page.fill("[name=user]", MARKUP)
        await page.fill("[name=temperature]", "0.5")
        await page.click("button:has-text('Send')")
        await page.locator("[data-over]").nth(1).wait_for()
        left, right = await page.locator(".answer .text").all_inner_texts()
        assert left == MARKUP
        assert "no-such-model" in right
        told = await page.locator(".answer dl").first.inner_text()
        assert "echo/echo" in told
        for name in ("Tokens", "Cost", "First words", "Total", "Attempts"):
            assert name in told, name
        await page.click("text=The same as code")
        code = await page.inner_text("#code-python")
        assert '"temperature": 0.5' in code
        compile(code, "copied", "exec")
        assert MARKUP in await page.inner_text("#code-curl")
        assert running.key not in await page.content()

        await page.fill("[name=left]", "endless")
        await page.fill("[name=right]", "")
        await page.click("button:has-text('Send')")
        await page.wait_for_selector("dt:has-text('First words')")
        await page.click("button:has-text('Stop')")
        await page.wait_for_selector(".answer >> text=Stopped.")
        assert await page.is_enabled("button:has-text('Send')")


async def test_a_search_shows_passages_and_an_answer_that_cites_them(visit, running):
    bearer = {"authorization": f"Bearer {running.key}"}
    async with web(running.url, headers=bearer) as client:
        store = (await client.post("/v1/vector_stores", json={"name": "docs"})).json()["id"]
        text = f"Rain falls mainly in the plain. {MARKUP}"
        said = {"documents": [{"id": "rain", "title": "rain.txt", "text": text}]}
        assert (await client.post(f"/v1/vector_stores/{store}/documents", json=said)).is_success
    async with visit(running, "/ui/knowledge") as page:
        await page.click("text=docs")
        await page.fill("[name=query]", "does rain fall")
        await page.click("button:has-text('Search')")
        await page.wait_for_selector(".passage >> text=rain.txt")
        assert MARKUP in await page.inner_text(".passage")
        assert "0 calls of models" in await page.inner_text("#found")
        await page.fill("[name=model]", "builtin/extract")
        await page.click("button:has-text('Search')")
        await page.wait_for_selector(".passage >> text=cited")
        found = await page.inner_text("#found")
        assert "Answer of builtin/extract" in found
        assert "cost $0" in found


async def test_settings_are_searched_compared_with_the_file_and_reloaded(visit, running, folder):
    file = folder / "gatemill.toml"
    async with visit(running, "/ui/settings") as page:
        secret = page.locator("tr", has_text="providers.up.api_key").first
        assert "…cdef" in await secret.inner_text()
        assert "gatemill.toml:5" in await secret.inner_text()
        before = file.read_text()
        file.write_text(before.replace("[models.endless]", "[models.other]"))
        await page.click("text=Compare with the file")
        assert "models.other" in await page.inner_text("#told[open] #told-value")
        await page.click("#told .act")
        await page.click("button:has-text('Reload')")
        await page.click("#ask button[value=yes]")
        await page.wait_for_selector("code:has-text('models.other.targets.0.model')")
        file.write_text(before)
        await page.click("button:has-text('Reload')")
        await page.click("#ask button[value=yes]")
        await page.wait_for_selector("code:has-text('models.endless.targets.0.model')")
        await page.fill("[name=q]", "request_timeout")
        await page.press("[name=q]", "Enter")
        await page.wait_for_url("**q=request_timeout*")
        assert await page.locator("td.option").count() == 1
