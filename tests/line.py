"""A WebSocket client that speaks JSON."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

HELLO = [{"role": "user", "content": "Hello"}]


class Line:
    """One WebSocket, in JSON."""

    def __init__(self, socket) -> None:
        self.socket = socket

    async def say(self, message) -> None:
        text = message if isinstance(message, str) else msgspec.json.encode(message).decode()
        await self.socket.send(text)

    async def hear(self):
        async with asyncio.timeout(60):
            return msgspec.json.decode(await self.socket.recv())

    async def ask(self, model: str = "echo", **fields) -> None:
        await self.say({"model": model, "messages": HELLO, **fields})

    async def answer(self):
        """All messages until the one that ends an answer."""
        heard = []
        while True:
            heard.append(await self.hear())
            if heard[-1].get("type") in ("done", "error", "cancelled"):
                return heard

    async def closed(self):
        """The code with which the server closes."""
        async with asyncio.timeout(60):
            try:
                while True:
                    await self.socket.recv()
            except ConnectionClosed as end:
                return end.rcvd.code if end.rcvd else None


@asynccontextmanager
async def line(gate, key: str | None = "", **options):
    secret = gate.key if key == "" else key
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    url = f"ws://127.0.0.1:{gate.port}/v1/chat/stream"
    usual = {"additional_headers": headers, "proxy": None, "open_timeout": 60}
    async with connect(url, **(usual | options)) as socket:
        yield Line(socket)
