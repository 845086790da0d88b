"""/metrics of a worker: one path, for this machine alone."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from gatemill.observe import endpoint
from gatemill.observe.metrics import Meter


@asynccontextmanager
async def listening():
    meter = Meter()
    meter.error("overloaded")
    server = await endpoint.listen(0, lambda: (meter, "abc"))
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def ask(port: int, head: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("head", "status", "word"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: localhost:1\r\n\r\n", b"200", b'code="overloaded"'),
        (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", b"200", b'config="abc"'),
        (b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", b"421", b"127.0.0.1"),
        (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nhost: x\r\n\r\n", b"421", b"Host"),
        (b"POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", b"405", b"GET"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404", b"/metrics"),
        (b"nonsense\r\n\r\n", b"404", b""),
    ],
)
async def test_one_path_is_answered_under_a_name_of_this_machine(head, status, word):
    async with listening() as port:
        answer = await ask(port, head)
    assert answer.split(b" ", 2)[1] == status
    assert word in answer
    assert b"connection: close" in answer


async def test_what_is_no_request_is_closed_and_the_next_is_answered():
    async with listening() as port:
        assert await ask(port, b"x" * (3 * endpoint.HEAD_BYTES_MAX)) == b""
        many = [
            await asyncio.open_connection("127.0.0.1", port)
            for _ in range(endpoint.CONNECTIONS_MAX + 1)
        ]
        assert await many[-1][0].read() == b""  # one too many
        for _, writer in many:
            writer.close()
        async with asyncio.timeout(20):
            while b"200 OK" not in await ask(port, b"GET /metrics HTTP/1.1\r\n\r\n"):
                pass
