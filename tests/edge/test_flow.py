"""An async generator as a stream: in order, stopped by who leaves, held up by who is slow."""

from __future__ import annotations

import asyncio

import pytest

from gatemill.core.errors import Draining, NotFound
from gatemill.edge.flow import Flow


class Sink:
    """What a caller has got."""

    def __init__(self):
        self.data = []
        self.fed = asyncio.Event()
        self.ended = asyncio.Event()
        self.error = None

    def feed(self, data):
        self.data.append(data)
        self.fed.set()

    def close(self, error):
        self.error = error
        self.ended.set()


class Source:
    """Gives what the test puts in; knows whether it was closed."""

    def __init__(self, *events):
        self.queue = asyncio.Queue()
        self.closed = asyncio.Event()
        for event in events:
            self.queue.put_nowait(event)

    async def __call__(self):
        try:
            while (event := await self.queue.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.closed.set()


@pytest.fixture
def sink():
    return Sink()


async def test_events_come_in_order_and_then_the_end(sink):
    flow = Flow(Source(b"1", b"2", None)(), "req_1")
    flow.attach(sink)
    await sink.ended.wait()
    assert (sink.data, sink.error, flow.sent_events) == ([b"1", b"2"], None, 2)


async def test_a_failure_ends_it(sink):
    flow = Flow(Source(b"1", NotFound("Gone."))(), "req_1")
    flow.attach(sink)
    await sink.ended.wait()
    assert (sink.data, sink.error.code) == ([b"1"], "not_found")


async def test_a_bug_ends_it_as_our_fault(sink):
    flow = Flow(Source(ZeroDivisionError())(), "req_1")
    flow.attach(sink)
    await sink.ended.wait()
    assert sink.error.code == "internal_error"
    assert "req_1" in sink.error.message


async def test_who_leaves_closes_the_source_and_hears_nothing_more(sink):
    source = Source(b"1")
    flow = Flow(source(), "req_1")
    flow.attach(sink)
    await sink.fed.wait()
    flow.abort()
    await source.closed.wait()
    assert not sink.ended.is_set()
    flow.abort()


async def test_who_is_slow_holds_it_up(sink):
    source = Source(b"1", b"2", None)
    flow = Flow(source(), "req_1")
    flow.pause()
    flow.attach(sink)
    for _ in range(20):
        await asyncio.sleep(0)
    assert sink.data == []
    flow.resume()
    await sink.ended.wait()
    assert sink.data == [b"1", b"2"]


async def test_a_shutdown_ends_it_with_its_reason(sink):
    source = Source(b"1")
    flow = Flow(source(), "req_1")
    flow.attach(sink)
    await sink.fed.wait()
    flow.fail(Draining("Connect again."))
    await source.closed.wait()
    assert sink.error.code == "draining"
    flow.fail(Draining("Connect again."))


async def test_nothing_is_settled(sink):
    flow = Flow(Source(None)(), "req_1")
    flow.on_end(lambda error: b"never")
    flow.attach(sink)
    await sink.ended.wait()
    assert sink.data == []
