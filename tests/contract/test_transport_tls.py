"""Encrypted providers, and providers behind a proxy."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gatemill.core.errors import UpstreamUnreachable
from gatemill.fake_provider import server as fake_provider
from needs import program
from transports import Bench, Remembered, ask, chat, failure, opened, streamed


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of its own authority for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    names = "subjectAltName=IP:127.0.0.1,DNS:localhost"
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-addext", names]
    subprocess.run(
        [program("openssl"), "req", "-x509", *made, *files],
        check=True,
        capture_output=True,
    )
    return cert, key


@pytest.fixture
async def sealed(certificate):
    """A fake provider that speaks TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    provider = await fake_provider.start("127.0.0.1", 0, context)
    yield provider
    await provider.stop()


@pytest.fixture
def trusting(certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate[0]))


@asynccontextmanager
async def proxy(reply: bytes = b""):
    """A forward proxy: (url, heads it has seen). With `reply` it answers that to everything."""
    heads: list[bytes] = []
    tasks: set[asyncio.Task[None]] = set()

    async def copy(reader, writer):
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def handle(reader, writer):
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            heads.append(head)
            method, target, rest = head.split(b" ", 2)
            if reply:
                writer.write(reply)
                return
            if method == b"CONNECT":
                host, _, port = target.decode().partition(":")
                inner, outer = await asyncio.open_connection(host, int(port))
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                url = urlsplit(target.decode())
                inner, outer = await asyncio.open_connection(url.hostname, url.port)
                outer.write(b"%b %b %b" % (method, (url.path or "/").encode(), rest))
            await asyncio.gather(copy(reader, outer), copy(inner, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def test_a_trusted_provider_answers_over_tls(bench, sealed, trusting):
    transport = bench.make(f"{sealed.url}/v1", tls=trusting)
    assert (await ask(transport, chat("fake"))).status == 200
    sink = Remembered()
    (await opened(transport, streamed("fake"))).attach(sink)
    assert await sink.end() is None
    assert sink.data.endswith(b"data: [DONE]\n\n")
    assert [row.connection for row in sealed.journal] == [1, 1]


async def test_a_large_stream_over_tls_survives_pauses(bench, sealed, trusting):
    class Halting(Remembered):
        def feed(self, data: bytes) -> None:
            super().feed(data)
            source.pause()
            loop.call_soon(source.resume)

    loop = asyncio.get_running_loop()
    source = await opened(bench.make(f"{sealed.url}/v1", tls=trusting), streamed("fake+huge=4"))
    sink = Halting()
    source.attach(sink)
    assert await sink.end() is None
    assert len(sink.data) > 4 << 20


async def test_an_unknown_authority_is_unreachable(bench, sealed):
    transport = bench.make(f"{sealed.url}/v1", tls=ssl.create_default_context())
    assert type(await failure(ask(transport, chat("fake")))) is UpstreamUnreachable
    assert len(sealed.journal) == 0


async def test_a_certificate_for_another_name_is_unreachable(bench, sealed, trusting):
    transport = bench.make(f"https://127.0.0.2:{sealed.port}/v1", tls=trusting)
    assert type(await failure(ask(transport, chat("fake")))) is UpstreamUnreachable


async def test_plain_http_where_tls_is_expected_is_unreachable(bench, fake, trusting):
    transport = bench.make(fake.url.replace("http:", "https:"), tls=trusting)
    assert type(await failure(ask(transport, chat("fake")))) is UpstreamUnreachable


async def test_a_proxy_carries_answers_and_streams(fake):
    bench = Bench("proxied")
    async with proxy() as (url, heads):
        transport = bench.make(f"{fake.url}/v1", proxy=url)
        assert (await ask(transport, chat("fake"))).status == 200
        await bench.close()
        transport = bench.make(f"{fake.url}/v1", proxy=url)
        sink = Remembered()
        (await opened(transport, streamed("fake"))).attach(sink)
        assert await sink.end() is None
        await bench.close()
    assert heads[0].startswith(f"POST {fake.url}/v1/chat/completions ".encode())
    assert [row.outcome for row in fake.journal] == ["complete", "complete"]


async def test_a_proxy_tunnels_tls_and_sees_no_key(sealed, trusting):
    bench = Bench("proxied")
    async with proxy() as (url, heads):
        transport = bench.make(f"{sealed.url}/v1", proxy=url, tls=trusting)
        assert (await ask(transport, chat("fake"))).status == 200
        await bench.close()
    assert heads[0].startswith(b"CONNECT 127.0.0.1:")
    assert b"sk-123456789" not in b"".join(heads)


async def test_a_proxy_that_refuses_is_unreachable(sealed, trusting):
    bench = Bench("proxied")
    async with proxy(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n") as (url, _):
        transport = bench.make(f"{sealed.url}/v1", proxy=url, tls=trusting)
        assert type(await failure(ask(transport, chat("fake")))) is UpstreamUnreachable
        await bench.close()


async def test_a_proxy_that_is_not_there_is_unreachable(fake):
    bench = Bench("proxied")
    async with proxy() as (url, _):
        pass
    transport = bench.make(f"{fake.url}/v1", proxy=url)
    assert type(await failure(ask(transport, chat("fake")))) is UpstreamUnreachable
    await bench.close()
