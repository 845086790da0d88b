"""Start, stop and the provider's own pages."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import time
from pathlib import Path

import pytest
import uvloop

from fake_provider.asking import PATIENCE_S, ask, get, read, request, written
from gatemill.fake_provider.server import FakeProvider, serve_forever, start
from quiet_ports import quiet_port


async def test_url_and_port_are_known_at_once(provider: FakeProvider) -> None:
    assert provider.url == f"http://127.0.0.1:{provider.port}"
    assert (await get(provider, "/livez")).body == b"ok\n"
    assert len(provider.journal) == 0


async def test_started_within_50_ms() -> None:
    took_s = []
    while not took_s or (took_s[-1] >= 0.05 and len(took_s) < 100):  # a busy machine stands still
        began_s = time.monotonic()
        running = await start("127.0.0.1", 0)
        took_s.append(time.monotonic() - began_s)
        await running.stop()
    assert took_s[-1] < 0.05


async def test_journal_page_lists_and_empties(provider: FakeProvider) -> None:
    name = "fake+first=1+status=503"
    assert (await ask(provider, name)).status == 503
    seen = await get(provider, "/journal")
    assert [(row["model"], row["status"]) for row in seen.json] == [(name, 503)]
    assert seen.json[0]["headers"][1] == ["authorization", "Bearer ...1234"]
    assert seen.headers["x-journal-dropped"] == "0"
    assert len((await get(provider, "/journal?clear=1")).json) == 1
    assert (await get(provider, "/journal")).json == []
    assert (await ask(provider, name)).status == 503


async def test_stop_ends_running_requests_and_frees_the_port() -> None:
    provider = await start("127.0.0.1", quiet_port())
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    writer.write(request("fake+hang"))
    row = await provider.journal.wait_for(lambda row: row.model == "fake+hang", PATIENCE_S)
    _, idle = await asyncio.open_connection("127.0.0.1", provider.port)
    await provider.stop()
    assert row.outcome == "stopped"
    assert (await read(reader)).ended in {"eof", "reset"}
    again = await start("127.0.0.1", provider.port)
    assert again.port == provider.port
    await again.stop()
    await again.stop()
    writer.close()
    idle.close()


async def test_serve_forever_stops_when_cancelled() -> None:
    ready: asyncio.Future[FakeProvider] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(serve_forever("127.0.0.1", quiet_port(), ready.set_result))
        provider = await asyncio.wait_for(ready, PATIENCE_S)
        assert (await ask(provider, "fake")).status == 200
        task.cancel()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", provider.port)


async def test_ipv6_address_stands_in_brackets() -> None:
    try:
        provider = await start("::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    assert provider.url == f"http://[::1]:{provider.port}"
    await provider.stop()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", str(key), "-out", str(cert), "-days", "1"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


async def test_tls_answers_and_resets(certificate: tuple[Path, Path]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    trust = ssl.create_default_context(cafile=str(certificate[0]))
    provider = await start("127.0.0.1", 0, context)
    assert provider.url.startswith("https://")
    for name, status in [("fake", 200), ("fake+abort", 0), ("fake+huge=1", 200)]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", provider.port, ssl=trust, server_hostname="localhost"
        )
        writer.write(request(name))
        assert (await read(reader)).status == status
        writer.transport.abort()
    await provider.stop()


def test_uvloop_shows_the_same_faults_and_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve() -> None:
        provider = await start("127.0.0.1", 0)
        try:
            await play(provider)
        finally:
            await provider.stop()

    async def play(provider: FakeProvider) -> None:
        assert (await ask(provider, "fake+abort")).ended == "reset"
        assert (await ask(provider, "fake+cut=1", stream=True)).ended == "eof"
        assert len((await ask(provider, "fake+huge=4")).body) > 4 << 20
        _, writer = await asyncio.open_connection("127.0.0.1", provider.port)
        writer.write(request("fake+hang"))
        await provider.journal.wait_for(lambda row: row.model == "fake+hang", PATIENCE_S)
        writer.close()
        row = await provider.journal.wait_for(lambda row: row.outcome == "client_left", PATIENCE_S)
        assert row.phase == "before_headers"
        in_a_turn = written(monkeypatch)
        seen = await ask(provider, "fake+bytewise")
        assert sum(in_a_turn) == len(seen.raw)
        assert max(in_a_turn) < 64

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
