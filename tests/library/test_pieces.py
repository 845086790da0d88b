"""A stream as pieces of text: paused for a slow reader, hung up when the reader leaves."""

from __future__ import annotations

import asyncio

import pytest

from gatemill.core.errors import UpstreamInterrupted
from gatemill.gateway import blocks
from gatemill.library.pieces import pieces_of


def chunk(text: str) -> bytes:
    return b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % text.encode()


class Flow:
    """A stream in the test's hands."""

    def __init__(self) -> None:
        self.sink = None
        self.said: list[str] = []

    def attach(self, sink) -> None:
        self.sink = sink

    def pause(self) -> None:
        self.said.append("pause")

    def resume(self) -> None:
        self.said.append("resume")

    def abort(self) -> None:
        self.said.append("abort")


async def test_the_text_of_each_event_is_a_piece():
    flow = Flow()
    found = pieces_of(flow)
    first = asyncio.ensure_future(anext(found))
    await asyncio.sleep(0)
    flow.sink.feed(
        b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n' + chunk("a") + chunk("b")
    )
    assert await first == "a"
    assert await anext(found) == "b"
    flow.sink.feed(b'data: {"choices":[],"usage":{}}\n\n: a comment\n\ndata: [DONE]\n\n')
    flow.sink.feed(chunk("ä"))
    flow.sink.close(None)
    assert [piece async for piece in found] == ["ä"]
    assert flow.said == []


async def test_a_failure_comes_after_the_pieces_before_it():
    flow = Flow()
    found = pieces_of(flow)
    first = asyncio.ensure_future(anext(found))
    await asyncio.sleep(0)
    flow.sink.feed(chunk("a"))
    flow.sink.close(UpstreamInterrupted("cut"))
    assert await first == "a"
    with pytest.raises(UpstreamInterrupted):
        await anext(found)
    assert flow.said == []


async def test_a_reader_that_leaves_hangs_up():
    flow = Flow()
    found = pieces_of(flow)
    first = asyncio.ensure_future(anext(found))
    await asyncio.sleep(0)
    flow.sink.feed(chunk("a"))
    await first
    await found.aclose()
    assert flow.said == ["abort"]


async def test_a_slow_reader_pauses_the_provider_once():
    flow = Flow()
    found = pieces_of(flow)
    first = asyncio.ensure_future(anext(found))
    await asyncio.sleep(0)
    large = chunk("x" * (blocks.PENDING_BYTES_MAX // 2))
    for _ in range(4):
        flow.sink.feed(large)
    assert flow.said == ["pause"]
    await first
    for _ in range(3):
        await anext(found)
    assert flow.said == ["pause"], "everything has to be read first"
    last = asyncio.ensure_future(anext(found))
    await asyncio.sleep(0)
    assert flow.said == ["pause", "resume"]
    flow.sink.feed(chunk("end"))
    assert await last == "end"
    await found.aclose()
