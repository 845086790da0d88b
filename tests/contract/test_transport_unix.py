"""The pool over a Unix socket: the same client, another address."""

from __future__ import annotations

import asyncio
import shutil
import tempfile

import pytest

from gatemill.core.errors import UpstreamUnreachable
from gatemill.upstream import pool as module
from gatemill.upstream.pool import Pool
from transports import ask, chat, failure, ok, request


@pytest.fixture
def path():
    folder = tempfile.mkdtemp(prefix="gm-")  # pytest's own folders are too long for a socket
    yield f"{folder}/s"
    shutil.rmtree(folder)


async def test_a_unix_socket_is_used_and_kept(path):
    heard = []

    async def handler(reader, writer):
        heard.append("connection")
        while data := await request(reader):
            heard.append(data.split(b"\r\n")[0])
            writer.write(ok())
        writer.close()

    server = await asyncio.start_unix_server(handler, path)
    pool = Pool("http://runner/v1", (), connections_max=2, tls=None, socket_path=path)
    for _ in range(2):
        assert (await ask(pool, chat("m"))).status == 200
    assert heard == ["connection", *[b"POST /v1/chat/completions HTTP/1.1"] * 2]
    await pool.close()
    server.close()
    await server.wait_closed()


async def test_a_socket_that_is_not_there_cannot_be_reached(path):
    pool = Pool("http://runner", (), connections_max=2, tls=None, socket_path=path)
    assert isinstance(await failure(ask(pool, chat("m"))), UpstreamUnreachable)
    await pool.close()


async def test_heads_of_paths_that_callers_choose_are_bounded():
    pool = Pool("http://127.0.0.1:1", (), connections_max=2, tls=None)
    for at in range(module.HEADS_MAX + 1):
        assert pool._head(f"/{at}").startswith(b"POST /%d HTTP/1.1" % at)
    assert len(pool._heads) == 1
    await pool.close()
