"""One socket: keep-alive, pipelining, limits, and a client that leaves."""

from __future__ import annotations

import asyncio

import pytest

from fake_provider.asking import CHAT, PATIENCE_S, ask, exchange, read, request, rest
from gatemill.fake_provider.connection import HEADER_BYTES_MAX, HEADERS_MAX, PIPELINE_MAX
from gatemill.fake_provider.server import FakeProvider


async def test_kept_alive_connection_has_one_number(provider: FakeProvider) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    for _ in range(2):
        writer.write(request("fake", closes=False))
        assert (await read(reader)).complete
    writer.close()
    await ask(provider, "fake")
    assert [row.connection for row in provider.journal] == [1, 1, 2]


async def test_requests_sent_ahead_are_answered_in_order(provider: FakeProvider) -> None:
    names = ["fake+stall=0.01", "fake+words=2", "fake+status=404"]
    sent = b"".join(request(name, closes=name.endswith("404")) for name in names)
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    writer.write(sent)
    answers = await rest(reader)
    writer.close()
    assert [answers.count(code) for code in (b"HTTP/1.1 200", b"HTTP/1.1 404")] == [2, 1]
    assert [row.model for row in provider.journal] == names
    assert {row.outcome for row in provider.journal} == {"complete"}


async def test_too_many_requests_sent_ahead_end_the_connection(provider: FakeProvider) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    writer.write(request("fake+hang", closes=False))
    await provider.journal.wait_for(lambda row: row.model == "fake+hang", PATIENCE_S)
    writer.write(request("fake", closes=False) * (PIPELINE_MAX + 1))
    seen = await read(reader)
    assert (seen.raw, seen.ended in {"eof", "reset"}) == (b"", True)
    row = await provider.journal.wait_for(lambda row: row.outcome != "running", PATIENCE_S)
    assert (row.model, row.outcome) == ("fake+hang", "client_left")
    writer.close()


async def test_request_that_comes_byte_by_byte_is_understood(provider: FakeProvider) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    for byte in request("fake"):
        writer.write(bytes([byte]))
        await writer.drain()
    assert (await read(reader)).status == 200
    writer.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * HEADER_BYTES_MAX + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * (HEADERS_MAX + 1) + b"\r\n", 431),
        (b"GET /" + b"y" * HEADER_BYTES_MAX + b" HTTP/1.1\r\nx: y\r\n\r\n", 431),
    ],
)
async def test_broken_or_oversized_request_is_refused(
    provider: FakeProvider, sent: bytes, status: int
) -> None:
    seen = await exchange(provider, sent)
    assert (seen.status, seen.headers["connection"]) == (status, "close")
    assert len(provider.journal) == 0


async def test_body_above_the_limit_is_refused(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatemill.fake_provider.connection.BODY_BYTES_MAX", 100)
    seen = await exchange(provider, request("fake", fields={"user": "u" * 100}))
    assert seen.status == 413


async def test_bytes_after_a_refusal_are_not_heard(provider: FakeProvider) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    writer.write(request("fake", closes=False))
    await read(reader)
    (connection,) = provider._connections
    for _ in range(2):  # TLS transports still deliver what they hold
        connection.data_received(b"nonsense\r\n\r\n")
    assert (await rest(reader)).count(b"HTTP/1.1 400") == 1
    writer.close()


async def test_client_that_asks_leave_to_send_its_body_gets_it(provider: FakeProvider) -> None:
    head, _, body = request("fake", headers={"expect": "100-continue"}).partition(b"\r\n\r\n")
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    writer.write(head + b"\r\n\r\n")
    async with asyncio.timeout(PATIENCE_S):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert (await read(reader)).status == 200
    writer.close()


async def test_client_that_leaves_a_stream_left_mid_stream(provider: FakeProvider) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    writer.write(request("fake+slow=600", fields={"stream": True}))
    await reader.readuntil(b'"Hello"')
    writer.close()
    row = await provider.journal.wait_for(lambda row: row.outcome != "running", PATIENCE_S)
    assert (row.outcome, row.phase, row.events_sent) == ("client_left", "mid_stream", 2)
    assert row.ended_s - row.arrived_s < 60


async def test_client_that_does_not_read_holds_the_provider_back(provider: FakeProvider) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port, limit=1024)
    writer.write(request("fake+huge=64"))
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    row = await provider.journal.wait_for(lambda row: row.outcome != "running", PATIENCE_S)
    assert (row.outcome, row.phase) == ("client_left", "mid_stream")


async def test_client_that_leaves_the_last_bytes_unread_left_after(provider: FakeProvider) -> None:
    # One write of 8 MB: more than the kernel holds, and nothing follows it.
    sent = request("fake+words=1000000")
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port, limit=1024)
    writer.write(sent)
    await reader.readuntil(b"\r\n\r\n")
    await provider.journal.wait_for(lambda row: row.first_byte_s is not None, PATIENCE_S)
    writer.transport.abort()
    row = await provider.journal.wait_for(lambda row: row.outcome != "running", PATIENCE_S)
    assert (row.outcome, row.phase) == ("client_left", "after")


async def test_fault_of_our_own_is_not_blamed_on_the_client(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    monkeypatch.setattr(provider, "respond", lambda request, connection: 1 / 0)
    seen = await exchange(provider, request("fake", CHAT))
    assert (seen.status, seen.complete) == (0, False)
    assert isinstance(reported[0]["exception"], ZeroDivisionError)
