"""A real Chromium in front of a real server.

Rule: a page that writes to the console, fails to load something or is refused by the policy fails its test.
Widths and themes are arguments: phone, tablet, desktop; light, dark. All tests here share one event loop,
which is the browser's.
"""

from __future__ import annotations

import os
import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from needs import missing
from running import Running, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from playwright.async_api import Browser, Page

PROGRAMS = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
PATIENCE_MS = 60_000  # the machine may be busy with other tests
WIDTHS = {"phone": (390, 844), "tablet": (820, 1180), "desktop": (1440, 900)}


CONFIG = f"""
[models.fast]
targets = ["echo/echo"]
[jobs]
kinds = ["{Path(__file__).parents[1] / "kind_no_luck.py"}"]
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One for all tests of this process."""
    named = [os.environ.get("GATEMILL_TEST_CHROMIUM", ""), *PROGRAMS]
    found = next((path for name in named if name and (path := shutil.which(name))), None)
    if found is None:
        missing("no Chromium is installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox"], timeout=PATIENCE_MS
        )
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server for the files that need none of their own."""
    with serve(tmp_path_factory.mktemp("pages"), CONFIG) as started:
        yield started


@pytest.fixture
def visit(chromium: Browser) -> Callable[..., AbstractAsyncContextManager[Page]]:
    """`async with visit(running, "/ui") as page:` is somebody who has signed in with the first key.

    `expected` are words of console messages that the test provokes, such as "409".
    """

    @asynccontextmanager
    async def opened(
        running: Running,
        path: str = "/ui",
        *,
        width: str = "desktop",
        theme: str = "light",
        signed_in: bool = True,
        expected: tuple[str, ...] = (),
    ) -> AsyncIterator[Page]:
        size = WIDTHS[width]
        context = await chromium.new_context(
            base_url=running.url,
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce",
        )
        context.set_default_timeout(PATIENCE_MS)
        said: list[str] = []
        page = await context.new_page()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        try:
            if signed_in:
                await page.goto("/ui/login")
                await page.fill("#key", running.key)
                await page.click("button[type=submit]")
                await page.wait_for_url("**/ui")
            await page.goto(path)
            yield page
        finally:
            await context.close()
        faults = [line for line in said if not any(word in line for word in expected)]
        assert not faults, f"{path} said on the console: {faults}"

    return opened
