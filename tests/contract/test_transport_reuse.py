"""When a connection is used again, when it is not, and what its next user never notices."""

from __future__ import annotations

import asyncio

from gatemill.core.errors import UpstreamInterrupted, UpstreamUnreachable
from transports import (
    EVENT_STREAM,
    PATIENT,
    Bench,
    Remembered,
    ask,
    chat,
    failure,
    gone,
    ok,
    opened,
    raw_server,
    request,
    soon,
    streamed,
)


class Counted:
    """Requests as they came: (connection, number on it). The n-th on a connection gets `answers[n]`."""

    def __init__(self, *answers: bytes) -> None:
        self.seen: list[tuple[int, int]] = []
        self._answers = answers
        self._connections = 0

    async def __call__(self, reader, writer) -> None:
        self._connections += 1
        connection = self._connections
        for number, answer in enumerate(self._answers, 1):
            if not await request(reader):
                return
            self.seen.append((connection, number))
            writer.write(answer)
            await writer.drain()
        # A connection beyond its answers takes one more request and closes without a word.
        if await request(reader):
            self.seen.append((connection, len(self._answers) + 1))


async def test_the_next_request_goes_over_the_same_connection(bench, fake):
    transport = bench.make(f"{fake.url}/v1")
    for model in ("fake", "fake+chunked", "fake"):
        await ask(transport, chat(model))
    assert [row.connection for row in fake.journal] == [1, 1, 1]


async def test_a_finished_stream_frees_its_connection(bench, fake):
    transport = bench.make(f"{fake.url}/v1")
    sink = Remembered()
    (await opened(transport, streamed("fake"))).attach(sink)
    await sink.end()
    await ask(transport, chat("fake"))
    assert [row.connection for row in fake.journal] == [1, 1]


async def test_a_stale_connection_is_tried_again_on_a_new_one(bench, fake):
    transport = bench.make(f"{fake.url}/v1")
    await ask(transport, chat("fake+stale"))
    assert (await ask(transport, chat("fake"))).status == 200
    assert [row.connection for row in fake.journal] == [1, 2]


async def test_a_stale_stream_is_tried_again_on_a_new_connection(bench, fake):
    transport = bench.make(f"{fake.url}/v1")
    await ask(transport, chat("fake+stale"))
    sink = Remembered()
    (await opened(transport, streamed("fake"))).attach(sink)
    assert await sink.end() is None


async def test_the_second_try_takes_no_other_kept_connection(bench):
    server = Counted(ok())
    async with raw_server(server) as url:
        transport = bench.make(url)
        await asyncio.gather(ask(transport, chat("x")), ask(transport, chat("x")))
        assert (await ask(transport, chat("x"))).status == 200
    assert server.seen[-1] == (3, 1)
    # aiohttp cannot be told to open a new one, so there every kept one is tried.
    assert len(server.seen) == (4 if bench.kind == "pool" else 5)


async def test_a_new_connection_that_closes_unanswered_is_not_tried_again(bench):
    server = Counted()
    async with raw_server(server) as url:
        error = await failure(ask(bench.make(url), chat("x")))
    assert type(error) is UpstreamUnreachable
    assert server.seen == [(1, 1)]


async def test_a_kept_connection_that_began_to_answer_is_not_tried_again(bench):
    seen = []

    async def handler(reader, writer):
        while await request(reader):
            seen.append(len(seen))
            writer.write(ok() if len(seen) == 1 else b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n")
            await writer.drain()
            if len(seen) > 1:
                return

    async with raw_server(handler) as url:
        transport = bench.make(url)
        await ask(transport, chat("x"))
        error = await failure(ask(transport, chat("x")))
    assert isinstance(error, UpstreamInterrupted)
    assert len(seen) == 2


async def test_a_connection_closed_behind_our_back_is_replaced(bench, fake):
    transport = bench.make(f"{fake.url}/v1")
    await ask(transport, chat("fake+keepalive-lie"))
    assert (await ask(transport, chat("fake"))).status == 200
    assert [row.connection for row in fake.journal] == [1, 2]


async def test_a_connection_that_said_close_is_not_used_again(bench):
    server = Counted(ok(b"{}", "connection: close"), ok())
    async with raw_server(server) as url:
        transport = bench.make(url)
        await ask(transport, chat("x"))
        await ask(transport, chat("x"))
    assert server.seen == [(1, 1), (2, 1)]


async def test_a_connection_with_surplus_bytes_is_not_used_again(bench):
    server = Counted(ok(b"{}") + ok(b'"for somebody else"'), ok(b'"late"'))
    async with raw_server(server) as url:
        transport = bench.make(url)
        assert (await ask(transport, chat("x"))).body == b"{}"
        assert (await ask(transport, chat("x"))).body == b"{}"
    assert server.seen == [(1, 1), (2, 1)]


async def test_a_cut_answer_costs_its_connection(bench, fake):
    transport = bench.make(f"{fake.url}/v1")
    assert isinstance(await failure(ask(transport, chat("fake+cut"))), UpstreamInterrupted)
    await ask(transport, chat("fake"))
    assert [row.connection for row in fake.journal] == [1, 2]


async def test_an_abort_after_the_end_does_not_hurt_the_next_user(bench, fake):
    transport = bench.make(f"{fake.url}/v1", connections_max=1)
    sink = Remembered()
    source = await opened(transport, streamed("fake"))
    source.attach(sink)
    await sink.end()
    second = await opened(transport, streamed("fake+slow=0.01"))
    source.abort()
    source.pause()
    source.resume()
    later = Remembered()
    second.attach(later)
    assert await later.end() is None
    assert [row.outcome for row in fake.journal] == ["complete", "complete"]


async def test_an_abort_within_the_last_event_does_not_hurt_the_next_user(bench, fake):
    class Impatient(Remembered):
        def feed(self, data: bytes) -> None:
            super().feed(data)
            if b"[DONE]" in data:
                source.abort()

    transport = bench.make(f"{fake.url}/v1", connections_max=1)
    sink = Impatient()
    source = await opened(transport, streamed("fake"))
    source.attach(sink)
    await sink.until(lambda: b"[DONE]" in sink.data)
    assert (await ask(transport, chat("fake"))).status == 200
    assert sink.closed == []


async def test_an_abort_may_be_repeated_and_the_sink_hears_nothing_more(bench):
    async def handler(reader, writer):
        await request(reader)
        writer.write(EVENT_STREAM + b"\r\ndata: 1\n\n")
        await gone(reader)

    async with raw_server(handler) as url:
        sink = Remembered()
        source = await opened(bench.make(url), streamed("x"))
        source.attach(sink)
        await sink.until(lambda: bool(sink.parts))
        source.abort()
        source.abort()
        await asyncio.sleep(0)
        assert sink.closed == []


async def test_closing_the_transport_releases_kept_connections(bench):
    left = asyncio.Event()

    async def handler(reader, writer):
        await request(reader)
        writer.write(ok())
        await gone(reader)
        left.set()

    async with raw_server(handler) as url:
        transport = bench.make(url)
        await ask(transport, chat("x"))
        await transport.close()
        async with asyncio.timeout(5):
            await left.wait()


async def test_an_answer_cut_by_a_cancelled_wait_is_not_given_to_another(bench, fake):
    transport = bench.make(f"{fake.url}/v1", connections_max=1)
    first = asyncio.ensure_future(transport.exchange(chat("fake+first-byte=30"), PATIENT, soon()))
    await fake.journal.wait_for(lambda row: row.outcome == "running", 5)
    first.cancel()
    assert (await ask(transport, chat("fake"))).status == 200
    assert fake.journal[0].outcome == "client_left"


async def test_answers_go_to_those_who_asked(bench, fake):
    transport = bench.make(f"{fake.url}/v1", connections_max=3)
    asks = [ask(transport, chat("fake", user=f"{n}")) for n in range(12)]
    assert [got.status for got in await asyncio.gather(*asks)] == [200] * 12
    assert {row.connection for row in fake.journal} <= {1, 2, 3}


async def test_an_idle_connection_that_speaks_is_dropped():
    speak, left = asyncio.Event(), asyncio.Event()

    async def handler(reader, writer):
        await request(reader)
        writer.write(ok())
        await speak.wait()
        writer.write(b"HTTP/1.1 408 Too Slow\r\ncontent-length: 0\r\n\r\n")
        await gone(reader)
        left.set()

    bench = Bench("pool")  # aiohttp takes such bytes for the next answer
    async with raw_server(handler) as url:
        transport = bench.make(url)
        await ask(transport, chat("x"))
        speak.set()
        async with asyncio.timeout(5):
            await left.wait()
        assert (await ask(transport, chat("x"))).status == 200
        await bench.close()
