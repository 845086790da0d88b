"""Bounds of the memory store, to the byte. What all stores do is in contract/test_cache.py."""

from __future__ import annotations

import asyncio
import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from gatemill.core.clock import FakeClock
from gatemill.kv.memory.cache import ENTRY_BYTES, MemoryAnswers


def room_for(count: int, size: int = 10) -> MemoryAnswers:
    return MemoryAnswers(count * (1 + size + ENTRY_BYTES), FakeClock())


async def test_the_least_recently_used_gives_way():
    store = room_for(2)
    store.put(b"a", b"x" * 10, 100)
    store.put(b"b", b"x" * 10, 100)
    await store.get(b"a")
    store.put(b"c", b"x" * 10, 100)
    assert await store.get(b"b") is None
    assert await store.get(b"a") == await store.get(b"c") == b"x" * 10
    assert (store.evicted, store.entries) == (1, 2)


async def test_a_large_value_pushes_out_as_many_as_it_needs():
    store = room_for(4)
    for key in (b"a", b"b", b"c", b"d"):
        store.put(key, b"x" * 10, 100)
    store.put(b"e", b"x" * (20 + ENTRY_BYTES), 100)
    assert store.evicted == 2
    assert await store.get(b"c") is not None


async def test_a_value_larger_than_everything_is_refused_and_pushes_nobody_out():
    store = room_for(1)
    store.put(b"a", b"x" * 10, 100)
    store.put(b"b", b"x" * 11, 100)
    assert (store.refused, store.evicted, store.entries) == (1, 0, 1)


async def test_a_value_that_grew_too_large_does_not_leave_the_old_one():
    store = room_for(1)
    store.put(b"a", b"x" * 10, 100)
    store.put(b"a", b"x" * 11, 100)
    assert await store.get(b"a") is None
    assert store.bytes == 0


async def test_what_expired_frees_its_bytes_when_it_is_asked_for():
    clock = FakeClock()
    store = MemoryAnswers(10_000, clock)
    store.put(b"a", b"x", 1)
    clock.advance(1)
    assert await store.get(b"a") is None
    assert (store.bytes, store.entries) == (0, 0)


async def test_closing_forgets_everything():
    store = room_for(1)
    store.put(b"a", b"x", 100)
    await store.close()
    assert (store.bytes, store.entries, await store.get(b"a")) == (0, 0, None)


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"a", b"bb", b"ccc", b"dddd"]),
            st.integers(0, 2000),
            st.floats(0, 5),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_the_bytes_are_never_more_than_allowed_and_always_counted(moves):
    clock = FakeClock()
    store = MemoryAnswers(4000, clock)

    async def run() -> None:
        for key, size, seconds, puts in moves:
            clock.advance(seconds)
            if puts:
                store.put(key, b"x" * size, 3)
            else:
                await store.get(key)
            counted = sum(
                len(key) + len(value) + ENTRY_BYTES for key, (value, _) in store._entries.items()
            )
            assert store.bytes == counted <= 4000

    asyncio.run(run())


def test_what_is_counted_is_about_what_is_used():
    store = MemoryAnswers(64 << 20, FakeClock())
    tracemalloc.start()
    try:
        for at in range(5000):
            store.put(at.to_bytes(32, "big"), bytes(100), 100.0 + at)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.8 < used / store.bytes < 1.2
