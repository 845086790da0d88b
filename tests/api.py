"""The control routes of a house in this process, asked over real HTTP."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2
import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from house_for_tests import Opened

CHAT = "/v1/chat/completions"
_ANSWER_S_MAX = 60.0
# Nothing here speaks TLS. To read the machine's certificates takes 27 ms of CPU for each client.
TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Said(NamedTuple):
    """An answer."""

    status: int
    headers: httpx2.Headers
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def param(self) -> Any:
        """The field that a problem names."""
        return self.json["errors"][0]["field"]


class Api:
    """Asks with the admin key of the first start, unless another one is given."""

    def __init__(self, gate: Opened, client: httpx2.AsyncClient) -> None:
        self._client = client
        self.admin = gate.key

    async def __call__(
        self,
        method: str,
        path: str,
        said: Any = None,
        key: str | None = None,
        **headers: str,
    ) -> Said:
        """`said` is JSON, or bytes as they are; `key` "" is none."""
        key = self.admin if key is None else key
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            sent["authorization"] = f"Bearer {key}"
        data = said if said is None or isinstance(said, bytes) else msgspec.json.encode(said)
        if data is not None:
            sent["content-type"] = "application/json"
        answer = await self._client.request(method, path, content=data, headers=sent)
        return Said(answer.status_code, answer.headers, answer.content)

    async def good(self, method: str, path: str, said: Any = None, key: str | None = None) -> Any:
        """The JSON of an answer that must be good."""
        answer = await self(method, path, said, key)
        assert answer.status in (200, 201), answer.body
        return answer.json

    async def chat(self, text: str = "hi", key: str | None = None, **more: Any) -> Said:
        """One question."""
        turn = {"role": "user", "content": text}
        return await self("POST", CHAT, {"model": "echo", "messages": [turn], **more}, key)


def web(url: str, **options: Any) -> httpx2.AsyncClient:
    """A client of the gateway at `url`."""
    return httpx2.AsyncClient(base_url=url, timeout=_ANSWER_S_MAX, verify=TRUSTS_NOBODY, **options)


@asynccontextmanager
async def api(gate: Opened) -> AsyncIterator[Api]:
    """For a running house."""
    async with web(gate.url) as client:
        yield Api(gate, client)
