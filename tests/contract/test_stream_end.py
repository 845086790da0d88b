"""The end of a stream is what its format says, not what its connection does."""

from __future__ import annotations

import asyncio

import pytest

from gatemill.core.call import Attempt
from gatemill.upstream.relay import Relay
from gatemill.wire.passage import ChatPassage
from playbook import DONE, HELLO, STOP, USAGE, target
from transports import EVENT_STREAM, Remembered, opened, raw_server, request, streamed

ANSWER = HELLO + STOP + USAGE + DONE


async def relayed(transport) -> tuple[Attempt, Remembered]:
    """One stream, to its end as the caller sees it."""
    now = asyncio.get_running_loop().time
    tried, sink = Attempt(target(), 1, now()), Remembered()
    relay = Relay(await opened(transport, streamed("x")), ChatPassage(strip_usage=True), tried, now)
    await relay.start()
    relay.on_end(lambda error: b"")
    relay.attach(sink)
    await sink.end()
    return tried, sink


@pytest.mark.parametrize("breaks", [False, True])
async def test_a_provider_that_closes_late_or_badly_has_answered_all_the_same(bench, breaks):
    heard = asyncio.Event()
    connections = 0

    async def handler(reader, writer):
        nonlocal connections
        connections += 1
        while await request(reader):
            head = EVENT_STREAM + b"transfer-encoding: chunked\r\n\r\n"
            writer.write(head + b"%x\r\n%b\r\n" % (len(ANSWER), ANSWER))
            await heard.wait()
            if breaks:
                writer.transport.abort()
                return
            writer.write(b"0\r\n\r\n")

    async with raw_server(handler) as url:
        transport = bench.make(url, connections_max=1)
        for _ in range(2):
            tried, sink = await relayed(transport)
            assert sink.closed == [None]
            assert sink.data == HELLO + STOP + DONE
            assert (tried.error, tried.usage.output) == ("", 3)
            heard.set()
    assert connections == (2 if breaks else 1)
