"""Jobs, dead letters and webhooks in a browser."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from running import Running, serve
from sink import Sink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.async_api import Page

CONFIG = f"""
[jobs]
kinds = ["{Path(__file__).parents[1] / "kind_mended.py"}"]
[webhooks]
private_addresses = ["127.0.0.0/8"]
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serve(tmp_path_factory.mktemp("work"), CONFIG) as started:
        yield started


async def say(pipe: Path, word: str) -> None:
    """The job that listens hears it."""
    async with asyncio.timeout(60):
        await asyncio.to_thread(pipe.write_text, word)


async def shows(page: Page, words: str) -> None:
    await page.wait_for_selector(f"#job >> text={words}")


async def test_a_job_is_handed_in_watched_dies_and_is_replayed(visit, running, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    async with visit(running, "/ui/jobs") as page:
        await page.click("text=Hand in a job")
        await page.select_option("[name=kind]", "mended")
        await page.fill("[name=args]", json.dumps({"pipe": str(pipe)}))
        await page.click("button:has-text('Hand in')")
        await page.wait_for_url("**/ui/jobs/job_*")
        watched = page.url
        await shows(page, "1 of 2 · listening")
        await say(pipe, "<i>bad</i>")
        await shows(page, "The word was <i>bad</i>.")
        assert await page.inner_text("#job .state") == "dead The word was <i>bad</i>. broken"

        await page.goto("/ui/dead-letters?kind=mended")
        await page.check("[data-every]")
        await page.click("text=Replay selected")
        await page.wait_for_selector("#ask[open] >> text=Replay 1 dead letter?")
        await page.click("#ask button[value=no]")
        await page.click("text=Replay all that match")
        await page.wait_for_selector("#ask[open] >> text=Replay 1 dead letter?")
        await page.click("#ask button[value=yes]")
        await page.wait_for_selector("text=No dead letters match.")

        await page.goto(watched)
        await shows(page, "1 of 2 · listening")
        await say(pipe, "good")
        await page.wait_for_selector("#job .state:has-text('succeeded')")
        await page.wait_for_selector('pre:has-text(\'"word": "good"\')')


async def test_an_endpoint_is_made_tested_given_another_secret_and_disabled_and_a_queue_paused(
    visit, running
):
    async with Sink() as sink, visit(running, "/ui/webhooks") as page:
        await page.click("text=New endpoint")
        await page.fill("#new [name=url]", sink.url)
        await page.click("#new button:has-text('Create')")
        first = await page.inner_text("#told[open] #told-value")
        assert first.startswith("whsec_")
        await page.click("#told .act")
        row = page.locator("tbody tr", has_text=sink.url)
        await row.locator("text=Test").click()
        await page.wait_for_selector(".toast >> text=It answered 200")
        assert b"webhook.test" in sink.seen[0].body
        await row.locator("text=Rotate").click()
        await page.click("#ask button[value=yes]")
        assert await page.inner_text("#told[open] #told-value") != first
        await page.click("#told .act")
        await row.locator("text=older secret signs too").wait_for()
        await row.locator("text=Disable").click()
        await row.locator(".badge:has-text('disabled')").wait_for()
        assert "whsec_" not in await page.content()

        await page.goto("/ui/jobs")
        queue = page.locator("#queues tr", has_text="replay")
        await queue.locator("text=Pause").click()
        await page.click("#ask button[value=yes]")
        await queue.locator(".badge:has-text('paused')").wait_for()
        await queue.locator("text=Resume").click()
        await queue.locator(".badge:has-text('open')").wait_for()
