"""The overview as somebody sees it: live tiles, another span, numbers under the pointer, models, providers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx2
import pytest

if TYPE_CHECKING:
    from running import Running

ASKED = re.compile(r"requests: ([1-9]\d*)")
STICKS_OUT = "document.documentElement.scrollWidth > innerWidth"


def chat(running: Running, count: int) -> None:
    headers = {"authorization": f"Bearer {running.key}"}
    body = {"model": "fast", "messages": [{"role": "user", "content": "hello"}]}
    for _ in range(count):
        url = f"{running.url}/v1/chat/completions"
        httpx2.post(url, json=body, headers=headers, timeout=60.0).raise_for_status()


async def test_the_overview_lives_and_its_charts_tell_their_numbers(visit, running):
    async with visit(running, "/ui?range=1h") as page:
        tile = page.locator('[data-live="requests"]')
        assert await tile.text_content() == "0"
        chat(running, 3)
        await page.wait_for_selector('[data-live="requests"]:text-is("3")')
        await page.reload()
        counted = 0
        for hit in await page.locator('svg[aria-label^="Requests:"] .hit').all():
            told = ASKED.search(await hit.text_content())
            if told:  # one minute of the sixty, or two that met meanwhile
                await hit.hover()
                assert told[0] in await page.text_content(".tip")
                counted += int(told[1])
        assert counted == 3
        await page.click('summary:text("As a table") >> nth=0')
        assert await page.locator("details.numbers[open] tbody tr").count() == 60
        await page.click(".ranges >> text=7 d")
        assert await page.text_content(".ranges [aria-current]") == "7 d"


@pytest.mark.parametrize(("width", "theme"), [("phone", "dark"), ("desktop", "light")])
async def test_models_and_providers_show_what_stands_behind_a_name(visit, running, width, theme):
    async with visit(running, "/ui/models", width=width, theme=theme) as page:
        assert not await page.evaluate(STICKS_OUT)
        await page.fill("[name=q]", "fast")
        await page.click("text=Find")
        await page.click("main >> text=fast")
        assert await page.text_content("h1") == "fast"
        assert '[models.fast]\ntargets = ["echo/echo"]' in await page.text_content("#defined")
        assert not await page.evaluate(STICKS_OUT)
        await page.goto("/ui/providers")
        assert "echo/echo" in await page.text_content("main")
        assert not await page.evaluate(STICKS_OUT)
        await page.goto("/ui")
        assert not await page.evaluate(STICKS_OUT)
