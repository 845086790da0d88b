"""A house with a browser in front of it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from api import web
from house_for_tests import opened

if TYPE_CHECKING:
    from house_for_tests import Opened


class Browser:
    """Keeps cookies, and says of each request where it comes from."""

    def __init__(self, home: Opened) -> None:
        self.home = home
        self.client = web(home.url)

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.client.get(path, headers=headers)

    async def send(
        self, path: str, form: dict[str, str], site: str = "same-origin"
    ) -> httpx2.Response:
        return await self.client.post(path, data=form, headers={"sec-fetch-site": site})

    async def sign_in(self, key: str = "") -> httpx2.Response:
        return await self.send("/ui/login", {"key": key or self.home.key})

    async def ask(
        self, method: str, path: str, said: Any = None, **headers: str
    ) -> httpx2.Response:
        """As a script of our own page would."""
        sent = {"sec-fetch-site": "same-origin"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return await self.client.request(method, path, json=said, headers=sent)


@pytest.fixture
async def browse(tmp_path):
    """Opens a house with this TOML, and a browser."""
    async with AsyncExitStack() as stack:

        async def start(config: str = "") -> Browser:
            home = await stack.enter_async_context(opened(tmp_path, config))
            browser = Browser(home)
            stack.push_async_callback(browser.client.aclose)
            return browser

        yield start
