"""What every ports.Transport does when the provider breaks, stalls or lies."""

from __future__ import annotations

import asyncio
import socket
import zlib
from contextlib import closing

import pytest

import heavy
from gatemill.core.call import Timeouts
from gatemill.core.errors import (
    GatemillError,
    UpstreamBadReply,
    UpstreamInterrupted,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from transports import (
    EVENT_STREAM,
    PATIENT,
    Remembered,
    answering,
    ask,
    chat,
    failure,
    gone,
    nobody,
    ok,
    opened,
    raw_server,
    request,
    soon,
    streamed,
)

# Each is hasty in one thing alone: nothing else runs out where the machine stands still.
DEAF = Timeouts(connect_s=0.3, first_token_s=10, between_chunks_s=10, total_s=20)
LATE = Timeouts(connect_s=5, first_token_s=0.3, between_chunks_s=10, total_s=20)
SILENT = Timeouts(connect_s=5, first_token_s=10, between_chunks_s=0.3, total_s=20)
BRIEF = Timeouts(connect_s=5, first_token_s=3, between_chunks_s=3, total_s=20)
MEBI = 1 << 20


async def broken(bench, fake, model) -> type[BaseException]:
    """The failure of a stream, which may come with its headers or later."""
    sink = Remembered()
    try:
        (await opened(bench.make(f"{fake.url}/v1"), streamed(model), BRIEF)).attach(sink)
    except GatemillError as error:
        return type(error)
    return type(await sink.end())


# --- No answer -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["close", "abort"])
@pytest.mark.parametrize("out", [chat, streamed])
async def test_a_connection_closed_before_the_headers_is_unreachable(bench, fake, fault, out):
    error = await failure(bench.make(f"{fake.url}/v1").open(out(f"fake+{fault}"), PATIENT, soon()))
    assert type(error) is UpstreamUnreachable
    assert len(fake.journal) == 1


async def test_a_refused_connection_is_unreachable(bench):
    with nobody() as url:
        error = await failure(ask(bench.make(url), chat("x")))
    assert type(error) is UpstreamUnreachable


async def test_an_unknown_host_is_unreachable(bench):
    error = await failure(ask(bench.make("http://nowhere.invalid"), chat("x")))
    assert type(error) is UpstreamUnreachable


async def test_a_host_that_does_not_accept_is_a_timeout(bench):
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as deaf:
        address = deaf.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        began_s = soon(0)
        error = await failure(ask(bench.make(f"http://127.0.0.1:{address[1]}"), chat("x"), DEAF))
        assert type(error) is UpstreamTimeout
        assert not error.is_sent
        assert soon(0) - began_s < heavy.within(2)
        for filler in fillers:
            filler.close()


async def test_a_connection_closed_at_once_is_unreachable(bench):
    async def handler(reader, writer):
        writer.transport.abort()

    async with raw_server(handler) as url:
        transport = bench.make(url)
        for _ in range(20):
            assert type(await failure(ask(transport, chat("x")))) is UpstreamUnreachable


# --- Timeouts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["fake+hang", "fake+first-byte=30"])
async def test_a_late_first_byte_is_a_timeout_and_the_provider_is_told(bench, fake, model):
    error = await failure(ask(bench.make(f"{fake.url}/v1"), chat(model), LATE))
    assert type(error) is UpstreamTimeout
    assert error.is_sent
    assert "first_token_s" in error.message
    row = await fake.journal.wait_for(lambda row: row.outcome == "client_left", 5)
    assert row.phase == "before_headers"


async def test_a_stalled_body_is_a_timeout(bench, fake):
    error = await failure(ask(bench.make(f"{fake.url}/v1"), chat("fake+stall=30"), SILENT))
    assert type(error) is UpstreamTimeout
    assert "between_chunks_s" in error.message


async def test_a_stalled_error_body_of_a_stream_is_a_timeout(bench):
    async def handler(reader, writer):
        await request(reader)
        writer.write(b"HTTP/1.1 500 No\r\ncontent-length: 10\r\n\r\n1")
        await gone(reader)

    async with raw_server(handler) as url:
        error = await failure(bench.make(url).open(streamed("x"), SILENT, soon()))
        assert type(error) is UpstreamTimeout


async def test_a_silent_stream_is_a_timeout_and_the_provider_is_told(bench, fake):
    source = await opened(bench.make(f"{fake.url}/v1"), streamed("fake+slow=30"), SILENT)
    sink = Remembered()
    source.attach(sink)
    error = await sink.end()
    assert type(error) is UpstreamTimeout
    assert "between_chunks_s" in error.message
    row = await fake.journal.wait_for(lambda row: row.outcome == "client_left", 5)
    assert row.phase == "mid_stream"


async def test_each_chunk_renews_the_patience(bench, fake):
    patience = Timeouts(first_token_s=10, between_chunks_s=3, total_s=20)
    source = await opened(
        bench.make(f"{fake.url}/v1"), streamed("fake+words=17+slow=0.2"), patience
    )
    sink = Remembered()
    source.attach(sink)
    assert await sink.end() is None


async def test_a_stream_that_goes_on_too_long_exceeds_its_total(bench, fake):
    patience = Timeouts(first_token_s=5, between_chunks_s=5, total_s=0.5)
    source = await opened(
        bench.make(f"{fake.url}/v1"), streamed("fake+words=1000+slow=0.05"), patience
    )
    sink = Remembered()
    source.attach(sink)
    error = await sink.end()
    assert type(error) is UpstreamTimeout
    assert "total_s" in error.message


async def test_the_deadline_of_the_request_ends_a_wait(bench, fake):
    transport = bench.make(f"{fake.url}/v1")
    error = await failure(transport.exchange(chat("fake+hang"), PATIENT, soon(0.3)))
    assert type(error) is UpstreamTimeout
    assert "first_token_s" not in error.message


async def test_the_deadline_of_the_request_ends_a_stream(bench, fake):
    transport = bench.make(f"{fake.url}/v1")
    source = await transport.open(streamed("fake+slow=30"), PATIENT, soon(0.5))
    sink = Remembered()
    source.attach(sink)
    assert type(await sink.end()) is UpstreamTimeout


async def test_a_fault_of_ours_in_the_middle_of_a_stream_ends_it(bench, fake):
    class Faulty(Remembered):
        def feed(self, data: bytes) -> None:
            super().feed(data)
            if len(self.parts) > 2:
                raise ZeroDivisionError

    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    source = await opened(
        bench.make(f"{fake.url}/v1"), streamed("fake+words=100+slow=0.1"), PATIENT
    )
    sink = Faulty()
    source.attach(sink)
    assert isinstance(await sink.end(), GatemillError)
    row = await fake.journal.wait_for(lambda row: row.outcome == "client_left", 5)
    assert row.phase == "mid_stream"


# --- Broken answers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 what OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n12",
        b"HTTP/1.1 200 OK\r\nnot a header\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nx",
    ],
)
async def test_what_is_not_http_is_a_bad_reply(bench, answer):
    async with raw_server(answering(answer)) as url:
        error = await failure(ask(bench.make(url), chat("x")))
    assert type(error) is UpstreamBadReply


async def test_a_bad_chunk_is_a_bad_reply(bench, fake):
    error = await failure(ask(bench.make(f"{fake.url}/v1"), chat("fake+bad-chunk"), BRIEF))
    expected = (UpstreamBadReply,) if bench.kind == "pool" else (UpstreamBadReply, UpstreamTimeout)
    assert type(error) in expected


async def test_a_bad_chunk_in_a_stream_is_a_bad_reply(bench, fake):
    found = await broken(bench, fake, "fake+bad-chunk")
    # When the bad chunk comes in a read of its own, aiohttp says nothing until we lose patience.
    assert found in (
        (UpstreamBadReply,) if bench.kind == "pool" else (UpstreamBadReply, UpstreamTimeout)
    )


async def test_half_a_body_is_an_interruption(bench, fake):
    error = await failure(ask(bench.make(f"{fake.url}/v1"), chat("fake+cut")))
    assert type(error) is UpstreamInterrupted


async def test_a_chunked_stream_without_its_end_is_an_interruption(bench, fake):
    assert await broken(bench, fake, "fake+cut=2") is UpstreamInterrupted


async def test_a_stream_reset_in_the_middle_is_an_interruption(bench):
    async def handler(reader, writer):
        await request(reader)
        writer.write(EVENT_STREAM + b"transfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
        await writer.drain()
        await read.wait()
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        writer.transport.abort()

    read = asyncio.Event()
    async with raw_server(handler) as url:
        sink = Remembered()
        (await opened(bench.make(url), streamed("x"))).attach(sink)
        await sink.until(lambda: bool(sink.parts))
        read.set()
        assert type(await sink.end()) is UpstreamInterrupted


async def test_a_single_endless_header_is_a_bad_reply(bench):
    sent = 0

    async def handler(reader, writer):
        nonlocal sent
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nx-big: ")
        while sent < 256 * MEBI:
            writer.write(b"x" * 65536)
            sent += 65536
            await writer.drain()

    async with raw_server(handler) as url:
        assert type(await failure(ask(bench.make(url), chat("x")))) is UpstreamBadReply
    assert sent < 32 * MEBI


async def test_too_many_headers_are_a_bad_reply(bench):
    lines = [f"x-{n}: {'v' * 20}" for n in range(5000)]
    async with raw_server(answering(ok(b"{}", *lines))) as url:
        assert type(await failure(ask(bench.make(url), chat("x")))) is UpstreamBadReply


async def test_headers_of_sixteen_kilobytes_are_fine(bench):
    async with raw_server(answering(ok(b"{}", "content-security-policy: " + "x" * 16_000))) as url:
        assert (await ask(bench.make(url), chat("x"))).status == 200


async def test_an_answer_above_64_mib_is_a_bad_reply(bench, fake):
    error = await failure(ask(bench.make(f"{fake.url}/v1"), chat("fake+huge=100")))
    assert type(error) is UpstreamBadReply
    row = await fake.journal.wait_for(lambda row: row.outcome != "running", 5)
    assert row.outcome == "client_left"


async def test_a_stream_above_64_mib_passes(bench, fake):
    source = await opened(bench.make(f"{fake.url}/v1"), streamed("fake+huge=65"))
    sink = Remembered()
    source.attach(sink)
    assert await sink.end() is None
    assert len(sink.data) > 65 * MEBI


async def test_a_gzip_bomb_is_a_bad_reply(bench, fake):
    error = await failure(ask(bench.make(f"{fake.url}/v1"), chat("fake+gzip-bomb=100")))
    assert type(error) is UpstreamBadReply


@pytest.mark.parametrize("cut", [1, 9, 40])
async def test_broken_gzip_is_a_failure(bench, cut):
    whole = zlib.compress(b'{"a":"' + bytes(range(65, 91)) * 9 + b'"}', wbits=31)
    for data in (whole[:-cut], b"x" + whole):
        async with raw_server(answering(ok(data, "content-encoding: gzip"))) as url:
            error = await failure(ask(bench.make(url), chat("x")))
            assert type(error) is UpstreamBadReply


async def test_a_compressed_stream_cut_short_is_a_failure(bench):
    data = zlib.compress(b"data: 1\n\n" * 9, wbits=31)[:-4]
    head = EVENT_STREAM + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(data)
    async with raw_server(answering(head + data)) as url:
        sink = Remembered()
        (await opened(bench.make(url), streamed("x"))).attach(sink)
        assert type(await sink.end()) is UpstreamBadReply


async def test_an_encoding_nobody_asked_for_and_we_lack_is_a_bad_reply(bench):
    async with raw_server(answering(ok(b"{}", "content-encoding: zstd"))) as url:
        assert type(await failure(ask(bench.make(url), chat("x")))) is UpstreamBadReply


async def test_messages_name_no_library_and_no_address(bench, fake):
    for model in ("fake+close", "fake+cut", "fake+bad-chunk"):
        error = await failure(ask(bench.make(f"{fake.url}/v1"), chat(model)))
        assert "127.0.0.1" not in error.message
        assert "aiohttp" not in error.message.lower()


# --- We leave ------------------------------------------------------------------------------------


async def test_a_cancelled_wait_closes_the_connection(bench, fake):
    transport = bench.make(f"{fake.url}/v1")
    task = asyncio.ensure_future(transport.exchange(chat("fake+hang"), PATIENT, soon()))
    await fake.journal.wait_for(lambda row: row.outcome == "running", 5)
    task.cancel()
    row = await fake.journal.wait_for(lambda row: row.outcome == "client_left", heavy.within(0.5))
    assert row.phase == "before_headers"
    assert task.cancelled() or await asyncio.wait({task})


async def test_a_cancelled_read_of_a_body_closes_the_connection(bench, fake):
    transport = bench.make(f"{fake.url}/v1")
    task = asyncio.ensure_future(transport.exchange(chat("fake+stall=30"), PATIENT, soon()))
    await fake.journal.wait_for(lambda row: row.head_s is not None, 5)
    task.cancel()
    row = await fake.journal.wait_for(lambda row: row.outcome == "client_left", heavy.within(0.5))
    assert row.phase == "before_first_byte"


@pytest.mark.parametrize("attached", [True, False])
async def test_an_aborted_stream_closes_the_connection(bench, fake, attached):
    source = await opened(bench.make(f"{fake.url}/v1"), streamed("fake+words=50+slow=0.1"))
    sink = Remembered()
    if attached:
        source.attach(sink)
        await sink.until(lambda: bool(sink.parts))
    await fake.journal.wait_for(lambda row: row.events_sent > 0, 5)
    source.abort()
    row = await fake.journal.wait_for(lambda row: row.outcome == "client_left", heavy.within(0.5))
    assert row.phase == "mid_stream"
    assert sink.closed == []
