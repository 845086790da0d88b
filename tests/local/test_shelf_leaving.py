"""What leaves the shelf, and when: unloaded, idle, for room, with a reload, at the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from gatemill.core.call import Timeouts
from gatemill.core.errors import InternalError, ModelLoadFailed, ModelNotFound
from gatemill.local.shelf import Serving, Shelf

if TYPE_CHECKING:
    pass
from shelf_play import GOOD, MIB, ask, asking, settle, spec, state, until


class Sink:
    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.ended = asyncio.Event()

    def feed(self, data: bytes) -> None:
        self.parts.append(data)

    def close(self, error) -> None:
        self.ended.set()


async def test_unloading_waits_for_the_last_request(shelf, play) -> None:
    shelf.configure({"m": spec()})
    await ask(shelf)
    play.gate.clear()
    last = asyncio.ensure_future(ask(shelf))
    await settle()
    leaving = asyncio.ensure_future(shelf.unload("m"))
    await settle()
    assert not leaving.done()
    assert state(shelf) == "unloading"
    play.gate.set()
    assert await last == GOOD
    assert (await leaving).state == "unloaded"
    assert play.closed == ["m"]
    assert await ask(shelf) == GOOD  # and it comes back when it is asked for
    assert len(play.made) == 2


async def test_unloading_what_is_not_loaded_says_so(shelf) -> None:
    shelf.configure({"m": spec()})
    assert (await shelf.unload("m")).state == "unloaded"
    with pytest.raises(ModelNotFound):
        await shelf.unload("nobody")


async def test_a_stream_keeps_its_model_until_it_ends(shelf, play) -> None:
    shelf.configure({"m": spec()})
    source = await shelf.open(asking(), Timeouts(), 1e9)
    leaving = asyncio.ensure_future(shelf.unload("m"))
    await settle()
    assert not leaving.done()
    sink = Sink()
    source.attach(sink)
    source.pause()
    source.resume()
    await sink.ended.wait()
    assert sink.parts == [b"one", b"two"]
    assert (await leaving).state == "unloaded"


async def test_an_aborted_stream_lets_its_model_go(shelf, play) -> None:
    shelf.configure({"m": spec()})
    source = await shelf.open(asking(), Timeouts(), 1e9)
    source.abort()
    source.abort()
    assert (await shelf.unload("m")).in_flight == 0
    assert play.closed == ["m"]


async def test_idle_models_are_unloaded_and_busy_ones_are_not(shelf, play, clock) -> None:
    shelf.configure({"m": spec(idle_ttl_s=60.0), "n": spec("n")})
    await ask(shelf)
    await ask(shelf, "n")
    clock.advance(59)
    await shelf.tidy()
    assert play.closed == []
    clock.advance(2)
    await shelf.tidy()
    assert play.closed == ["m"]
    assert shelf.counts.idle_unloads == 1


async def test_the_longest_unused_models_make_room(shelf, play, clock) -> None:
    shelf.configure({name: spec(name, bytes=40 * MIB) for name in "abc"})
    for name in "ab":
        await ask(shelf, name)
        clock.advance(1)
    await ask(shelf, "a")
    await ask(shelf, "c")
    await settle()
    assert play.closed == ["b"]
    assert shelf.counts.evictions == 1
    assert shelf.memory_bytes == 80 * MIB


async def test_what_does_not_fit_is_refused_with_the_numbers_and_nothing_leaves(
    shelf, play
) -> None:
    shelf.configure({"a": spec("a", bytes=40 * MIB), "b": spec("b", bytes=70 * MIB)})
    await ask(shelf, "a")
    play.gate.clear()
    busy = asyncio.ensure_future(ask(shelf, "a"))
    await settle()
    with pytest.raises(ModelLoadFailed, match=r"70 MiB.*100 MiB.*`a` \(40 MiB\)"):
        await shelf.load(spec("b", bytes=70 * MIB))
    with pytest.raises(ModelLoadFailed, match="200 MiB"):
        await shelf.load(spec("c", bytes=200 * MIB))
    play.gate.set()
    assert await busy == GOOD
    assert play.closed == []
    assert shelf.memory_bytes == 40 * MIB


async def test_another_configuration_unloads_what_has_changed_and_keeps_the_rest(
    shelf, play
) -> None:
    same, other = spec("same"), spec("other")
    shelf.configure({"same": same, "other": other, "gone": spec("gone")})
    for name in ("same", "other", "gone"):
        await ask(shelf, name)
    shelf.configure({"same": spec("same"), "other": replace(other, sha256="ab")})
    await settle()
    assert sorted(play.closed) == ["gone", "other"]
    assert await ask(shelf, "other") == GOOD
    assert play.made[-1].spec.sha256 == "ab"


async def test_a_version_is_loaded_before_it_is_published_and_stays(shelf, play, clock) -> None:
    shelf.publish({"m:1": spec("m:1")})
    await ask(shelf, "m:1")
    await shelf.load(spec("m:2"))
    clock.advance(10)
    await shelf.tidy()
    shelf.publish({"m:2": spec("m:2")})
    await settle()
    assert play.closed == ["m:1"]
    await ask(shelf, "m:2")
    assert [one.spec.name for one in play.made] == ["m:1", "m:2"]


async def test_a_version_that_is_never_published_does_not_stay_for_ever(shelf, play, clock) -> None:
    await shelf.load(spec("m:9"))
    clock.advance(601)
    await shelf.tidy()
    assert play.closed == ["m:9"]


async def test_closing_ends_what_is_loading_and_what_is_busy(play, clock) -> None:
    shelf = Shelf(clock, Serving())
    shelf.configure({"m": spec(), "slow": spec("slow")})
    await ask(shelf)
    play.loading.clear()
    slow = asyncio.ensure_future(ask(shelf, "slow"))
    await until(lambda: state(shelf, "slow") == "loading")
    await shelf.close()
    with pytest.raises(InternalError):
        await slow
    assert play.closed == ["m"]


async def test_closing_at_once_leaves_nothing_that_was_to_be_preloaded(play, clock) -> None:
    shelf = Shelf(clock, Serving())
    shelf.configure({"m": spec()})
    shelf.preload(["m"])
    await shelf.close()
    with pytest.raises(ModelLoadFailed):
        await ask(shelf)
    assert play.made == []


async def test_closing_ends_what_is_leaving_and_loads_still(play, clock) -> None:
    shelf = Shelf(clock, Serving())
    shelf.configure({"m": spec()})
    play.loading.clear()
    first = asyncio.ensure_future(ask(shelf))
    await until(lambda: state(shelf) == "loading")
    shelf.configure({})  # a reload has taken it away
    closing = asyncio.ensure_future(shelf.close())
    await settle()
    closed = closing.done()
    play.loading.set()  # or nothing would ever end here
    await closing
    with pytest.raises(InternalError):
        await first
    assert closed


async def test_closing_does_not_wait_for_the_callers_of_what_is_leaving(play, clock) -> None:
    shelf = Shelf(clock, Serving())
    shelf.configure({"m": spec()})
    source = await shelf.open(asking(), Timeouts(), 1e9)  # whose caller does not read
    shelf.configure({})
    closing = asyncio.ensure_future(shelf.close())
    await settle()
    closed = closing.done()
    source.abort()
    await closing
    assert closed
    assert play.closed == ["m"]
