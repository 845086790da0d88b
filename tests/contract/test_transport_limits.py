"""What is bounded: connections, those who wait for one, and the bytes of whoever does not read."""

from __future__ import annotations

import asyncio

import pytest

from gatemill.core.call import Timeouts
from gatemill.core.errors import Overloaded, UpstreamTimeout, UpstreamUnreachable
from gatemill.upstream.pool import WAITING_MAX
from transports import (
    EVENT_STREAM,
    PATIENT,
    Remembered,
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


class Gate:
    """Answers each request when it is told to; counts connections."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.arrived: list[bytes] = []
        self.connections = 0
        self.most = 0
        self._news = asyncio.Event()

    async def __call__(self, reader, writer) -> None:
        self.connections += 1
        self.most = max(self.most, self.connections)
        try:
            while head := await request(reader):
                self.arrived.append(head)
                self._news.set()
                await self.open.wait()
                writer.write(ok())
        finally:
            self.connections -= 1

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.arrived) < count:
                self._news.clear()
                await self._news.wait()


def named(name: str):
    return chat("x", user=name)


async def test_no_more_connections_are_opened_than_allowed(bench):
    gate = Gate()
    async with raw_server(gate) as url:
        transport = bench.make(url, connections_max=2)
        asks = [asyncio.ensure_future(ask(transport, chat("x"))) for _ in range(7)]
        await gate.until(2)
        assert gate.connections == 2
        gate.open.set()
        assert [got.status for got in await asyncio.gather(*asks)] == [200] * 7
        assert gate.most == 2


async def test_whoever_waits_longest_is_next(bench):
    gate = Gate()
    async with raw_server(gate) as url:
        transport = bench.make(url, connections_max=1)
        asks = [asyncio.ensure_future(ask(transport, named(f"n{n}"))) for n in range(6)]
        await gate.until(1)
        gate.open.set()
        await asks[0]
        asks.append(asyncio.ensure_future(ask(transport, named("late"))))
        await asyncio.gather(*asks)
        order = [head.partition(b'"user":"')[2].partition(b'"')[0] for head in gate.arrived]
    assert order == [b"n0", b"n1", b"n2", b"n3", b"n4", b"n5", b"late"]


async def test_the_deadline_ends_the_wait_for_a_connection(bench):
    gate = Gate()
    async with raw_server(gate) as url:
        transport = bench.make(url, connections_max=1)
        first = asyncio.ensure_future(ask(transport, chat("x")))
        await gate.until(1)
        error = await failure(transport.exchange(chat("x"), PATIENT, soon(0.2)))
        assert type(error) is UpstreamTimeout
        assert not error.is_sent
        gate.open.set()
        await first
        assert (await ask(transport, chat("x"))).status == 200


async def test_the_wait_for_a_connection_does_not_count_as_the_providers_silence(bench):
    gate = Gate()
    hasty = Timeouts(connect_s=5, first_token_s=1.5, between_chunks_s=5, total_s=20)
    async with raw_server(gate) as url:
        transport = bench.make(url, connections_max=1)
        first = asyncio.ensure_future(ask(transport, chat("x")))
        await gate.until(1)
        second = asyncio.ensure_future(transport.exchange(chat("x"), hasty, soon()))
        done, _ = await asyncio.wait({second}, timeout=1.8)
        assert not done
        gate.open.set()
        await first
        assert (await second).status == 200


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_a_waiter_who_leaves_takes_nobodys_turn(bench, which):
    gate = Gate()
    async with raw_server(gate) as url:
        transport = bench.make(url, connections_max=1)
        asks = [asyncio.ensure_future(ask(transport, named(f"n{n}"))) for n in range(4)]
        await gate.until(1)
        gate.open.set()
        await asks[0]
        asks[1 + which].cancel()  # the turn may just have been given to it
        left = [a for a in asks[1:] if a is not asks[1 + which]]
        async with asyncio.timeout(5):
            assert [got.status for got in await asyncio.gather(*left)] == [200, 200]


async def test_a_waiter_who_leaves_in_the_moment_of_its_turn_passes_it_on(bench, fake):
    class Meddling(Remembered):
        def close(self, error) -> None:
            super().close(error)
            waiters[0].cancel()  # its turn has come with the end of this stream

    transport = bench.make(f"{fake.url}/v1", connections_max=1)
    source = await opened(transport, streamed("fake+slow=0.05"))
    waiters = [asyncio.ensure_future(ask(transport, chat("fake"))) for _ in range(3)]
    sink = Meddling()
    source.attach(sink)
    await sink.end()
    async with asyncio.timeout(5):
        assert [got.status for got in await asyncio.gather(*waiters[1:])] == [200, 200]
    assert waiters[0].cancelled()


async def test_a_connection_that_cannot_be_opened_wakes_the_next_in_line(bench):
    with nobody() as url:
        transport = bench.make(url, connections_max=1)
        began_s = soon(0)
        errors = await asyncio.gather(*(failure(ask(transport, chat("x"))) for _ in range(5)))
    assert {type(error) for error in errors} == {UpstreamUnreachable}
    assert soon(0) - began_s < PATIENT.connect_s


async def test_an_aborted_stream_lets_the_next_one_in(bench, fake):
    transport = bench.make(f"{fake.url}/v1", connections_max=1)
    source = await opened(transport, streamed("fake+slow=30"))
    second = asyncio.ensure_future(ask(transport, chat("fake")))
    await asyncio.sleep(0)
    source.abort()
    assert (await second).status == 200


async def test_a_timed_out_exchange_lets_the_next_one_in(bench, fake):
    transport = bench.make(f"{fake.url}/v1", connections_max=1)
    hasty = Timeouts(first_token_s=0.2)
    first = asyncio.ensure_future(failure(transport.exchange(chat("fake+hang"), hasty, soon())))
    await fake.journal.wait_for(lambda row: True, 5)
    assert (await ask(transport, chat("fake"))).status == 200
    assert type(await first) is UpstreamTimeout


async def test_a_full_queue_refuses_at_once(bench):
    gate = Gate()
    async with raw_server(gate) as url:
        transport = bench.make(url, connections_max=1)
        asks = [asyncio.ensure_future(ask(transport, chat("x"))) for _ in range(1 + WAITING_MAX)]
        await gate.until(1)
        error = await failure(ask(transport, chat("x")))
        assert type(error) is Overloaded
        assert error.retry_after_s == 1
        for waiting in asks:
            waiting.cancel()
        await asyncio.gather(*asks, return_exceptions=True)
        gate.open.set()
        assert (await ask(transport, chat("x"))).status == 200


async def test_a_paused_source_stops_the_provider_and_keeps_memory_bounded(bench):
    piece = b"data: " + b"x" * 65_528 + b"\n\n"
    total = 1024  # pieces; 64 MiB, more than all socket buffers together
    sent = 0
    stuck = asyncio.Event()

    async def handler(reader, writer):
        nonlocal sent
        await request(reader)
        writer.write(EVENT_STREAM + b"content-length: %d\r\n\r\n" % (len(piece) * total))
        for _ in range(total):
            writer.write(piece)
            sent += 1
            try:
                async with asyncio.timeout(0.5):
                    await writer.drain()
            except TimeoutError:
                stuck.set()
                await writer.drain()
        await gone(reader)

    class Slow(Remembered):
        reads = False

        def feed(self, data: bytes) -> None:
            super().feed(data)
            if not self.reads:
                source.pause()

    async with raw_server(handler) as url:
        source = await opened(bench.make(url), streamed("x"))
        sink = Slow()
        source.attach(sink)
        async with asyncio.timeout(10):
            await stuck.wait()
        assert sent < total // 2
        assert len(sink.data) < 2 << 20
        sink.reads = True
        source.resume()
        assert await sink.end() is None
        assert len(sink.data) == len(piece) * total


async def test_a_paused_source_does_not_time_out_between_chunks(bench, fake):
    patience = Timeouts(first_token_s=10, between_chunks_s=1, total_s=20)
    source = await opened(bench.make(f"{fake.url}/v1"), streamed("fake+words=4+slow=0.1"), patience)
    sink = Remembered()
    source.attach(sink)
    await sink.until(lambda: bool(sink.parts))
    source.pause()
    ended = asyncio.ensure_future(sink.end())
    await asyncio.wait({ended}, timeout=1.5)
    assert sink.closed == []
    source.resume()
    assert await ended is None


async def test_a_paused_source_ends_with_its_total(bench, fake):
    patience = Timeouts(first_token_s=5, between_chunks_s=5, total_s=0.5)
    source = await opened(
        bench.make(f"{fake.url}/v1"), streamed("fake+words=20+slow=0.1"), patience
    )
    sink = Remembered()
    source.attach(sink)
    source.pause()
    assert type(await sink.end()) is UpstreamTimeout
