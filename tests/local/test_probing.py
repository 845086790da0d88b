from __future__ import annotations

import asyncio
import shutil
import tempfile

import pytest

from gatemill.local import probing
from gatemill.local.probing import Address
from transports import raw_server


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.0 200 Fine\r\n\r\n", b""),
        (b"HTTP/1.1 503 Not Yet\r\n\r\nok", None),
        (b"what?", None),
        (b"", None),
    ],
)
async def test_only_a_200_is_healthy(answer, body):
    heard = []

    async def handler(reader, writer):
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()

    async with raw_server(handler) as url:
        port = int(url.rpartition(":")[2])
        assert await probing.get(Address(port=port, token="t"), "/health") == body
    assert heard[0].startswith(b"GET /health HTTP/1.0\r\n")
    assert b"authorization: Bearer t\r\n" in heard[0]


async def test_nobody_there_is_not_healthy():
    assert await probing.get(Address(port=1), "/health") is None
    assert await probing.get(Address(socket_path="/nowhere/s"), "/health") is None


async def test_a_unix_socket_is_asked_too():
    folder = tempfile.mkdtemp(prefix="gm-")

    async def handler(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_unix_server(handler, f"{folder}/s")
    try:
        assert await probing.get(Address(socket_path=f"{folder}/s"), "/") == b"{}"
    finally:
        server.close()
        shutil.rmtree(folder)
