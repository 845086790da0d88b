"""Posts at once: nobody's slow servers hold up another's."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

import heavy
from gatemill.core.errors import Overloaded
from outward_play import HERE, outward_to, post
from sink import HANG, Sink


async def test_a_host_gets_so_many_tries_at_once_and_others_are_not_held_up():
    async with Sink() as slow, Sink("127.0.0.2") as quick:
        slow.by_default = HANG
        way = outward_to(*HERE, timeout_s=20.0, most=2)
        tasks = [asyncio.ensure_future(post(way, slow.url)) for _ in range(2)]
        await slow.saw(2)
        assert way.running == 2
        more = [asyncio.ensure_future(post(way, slow.url)) for _ in range(50)]
        async with asyncio.timeout(heavy.within(1.0)):
            assert (await post(way, quick.url, "team:b")).status == 200
        for refused in await asyncio.gather(*more, return_exceptions=True):
            assert isinstance(refused, Overloaded)
            assert 1.0 <= refused.retry_after_s <= 60.0
        assert way.tries["postponed"] == 50
        assert slow.connections == 2
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert way.running == 0


async def test_one_owner_with_many_hanging_hosts_does_not_hold_up_another():
    async with AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(Sink(f"127.0.1.{n}")) for n in range(1, 6)]
        quick = await stack.enter_async_context(Sink())
        for sink in slow:
            sink.by_default = HANG
        way = outward_to(*HERE, timeout_s=20.0, most=1)
        tasks = [asyncio.ensure_future(post(way, sink.url, "team:slow")) for sink in slow[:4]]
        for sink in slow[:4]:
            await sink.saw(1)
        with pytest.raises(Overloaded):
            await post(way, slow[4].url, "team:slow")
        with pytest.raises(Overloaded):
            await post(way, quick.url, "team:slow")
        assert (await post(way, quick.url, "team:quick")).status == 200
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
