"""The shelf with runtimes of the test's own, which a fake engine hands out."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from gatemill.core.call import Timeouts
from gatemill.core.clock import FakeClock
from gatemill.core.errors import (
    ExtraNotInstalled,
    InternalError,
    InvalidValue,
    ModelLoadFailed,
    ModelNotFound,
    Overloaded,
    UpstreamTimeout,
)
from gatemill.core.model import ModelSpec
from gatemill.core.ports import Incoming, Outgoing
from gatemill.local.extras import needed
from gatemill.local.manifest import digest
from gatemill.local.shelf import Serving, Shelf
from gatemill.upstream.inline import Events

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1_048_576
GOOD = Incoming(200, {}, b"{}")


class Fake:
    """A runtime whose answers wait for `gate`."""

    pid = None
    restarts = 0
    waiting = 0

    def __init__(self, spec: ModelSpec, play: Play) -> None:
        self.memory_bytes = spec.options.get("bytes", 0)
        self.spec, self.play = spec, play
        self.closed = False

    async def exchange(self, out, timeouts, deadline_s):
        self.play.asked.append(out)
        if self.play.exchange is not None:
            return await self.play.exchange(self, out, timeouts, deadline_s)
        await self.play.gate.wait()
        assert not self.closed, "a request came to a model that had left"
        return self.play.answer

    async def open(self, out, timeouts, deadline_s):
        return Events([b"one", b"two"])

    async def close(self) -> None:
        self.closed = True
        self.play.closed.append(self.spec.name)


class Play:
    """The engine `head`, in place of the real one."""

    def __init__(self) -> None:
        self.made: list[Fake] = []
        self.asked: list[Outgoing] = []
        self.closed: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.loading = asyncio.Event()
        self.loading.set()
        self.error: Exception | None = None
        self.answer = GOOD
        self.exchange: Any = None  # answers instead, where it is set

    async def load(self, spec, tools):
        await tools.reserve(spec, spec.options.get("bytes", 0))
        await self.loading.wait()
        if self.error is not None:
            raise self.error
        self.made.append(Fake(spec, self))
        return self.made[-1]


class Sink:
    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.ended = asyncio.Event()

    def feed(self, data: bytes) -> None:
        self.parts.append(data)

    def close(self, error) -> None:
        self.ended.set()


@pytest.fixture
async def play(monkeypatch):
    found = Play()
    module = ModuleType("gatemill.local.runtimes.head")
    module.load = found.load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return found


@pytest.fixture
async def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def shelf(play, clock):
    found = Shelf(clock, Serving(memory_bytes=100 * MIB))
    yield found
    await found.close()


def spec(name: str = "m", **options) -> ModelSpec:
    return ModelSpec(name, "classify", "head", options=options)


def asking(name: str = "m") -> Outgoing:
    return Outgoing("/predict", b'{"model":"%b","input":"x"}' % name.encode())


async def ask(shelf: Shelf, name: str = "m", deadline_s: float = 1e9) -> Incoming:
    return await shelf.exchange(asking(name), Timeouts(), deadline_s)


async def until(stands: Callable[[], bool]) -> None:
    """Others have had their turns until this holds."""
    for _ in range(100_000):
        if stands():
            return
        await asyncio.sleep(0)
    pytest.fail("that never came")


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def state(shelf: Shelf, name: str = "m") -> str:
    return {one.name: one.state for one in shelf.states()}[name]


async def test_a_model_is_loaded_by_its_first_request_and_once(shelf, play) -> None:
    shelf.configure({"m": spec()})
    assert state(shelf) == "unloaded"
    play.loading.clear()
    waiting = [asyncio.ensure_future(ask(shelf)) for _ in range(5)]
    await until(lambda: state(shelf) == "loading")
    play.loading.set()
    assert await asyncio.gather(*waiting) == [GOOD] * 5
    assert len(play.made) == 1
    assert state(shelf) == "ready"
    assert shelf.counts.loads == {"head": 1}


async def test_an_unknown_name_and_a_body_without_one_are_refused(shelf) -> None:
    with pytest.raises(ModelNotFound, match="nobody"):
        await ask(shelf, "nobody")
    with pytest.raises(InvalidValue):
        await shelf.exchange(Outgoing("/predict", b"[]"), Timeouts(), 1e9)


async def test_loading_answers_a_first_request(shelf, play) -> None:
    loaded = await shelf.load(spec())
    assert loaded.state == "ready"
    assert [out.path for out in play.asked] == ["/predict"]


async def test_a_model_that_fails_its_first_request_is_not_served(shelf, play) -> None:
    play.answer = Incoming(400, {}, b'{"error":{"message":"no labels"}}')
    with pytest.raises(ModelLoadFailed, match="no labels"):
        await shelf.load(spec())
    await settle()
    assert play.closed == ["m"]
    shelf.configure({"m": spec()})
    assert state(shelf) == "failed"


async def test_a_model_in_use_stays_when_it_is_too_busy_for_a_probe(shelf, play) -> None:
    shelf.configure({"m": spec()})
    assert await ask(shelf) == GOOD

    async def full(*_asked):
        raise Overloaded("This model's queue is full.")

    play.exchange = full
    with pytest.raises(ModelLoadFailed, match="queue is full"):
        await shelf.load(spec())
    play.exchange = None
    assert await ask(shelf) == GOOD
    assert len(play.made) == 1
    assert play.closed == []


async def test_one_that_fails_its_probe_late_does_not_take_its_successors_place(
    shelf, play
) -> None:
    first, second = spec(), spec(labels=["a"])
    shelf.configure({"m": first})
    play.gate.clear()
    probed = asyncio.ensure_future(shelf.load(first))
    await until(lambda: len(play.asked) == 1)
    shelf.configure({"m": second})
    play.answer, good = Incoming(400, {}, b"{}"), GOOD
    play.gate.set()
    other = asyncio.ensure_future(ask(shelf))
    with pytest.raises(ModelLoadFailed):
        await probed
    await other
    play.answer = good
    assert await ask(shelf) == GOOD
    assert [one.spec for one in play.made] == [first, second]
    assert state(shelf) == "ready"


async def test_a_broken_model_is_left_alone_for_longer_each_time(shelf, play, clock) -> None:
    shelf.configure({"m": spec(), "other": spec("other")})
    play.error = ModelLoadFailed("/secret/path is no graph.")
    for wait_s in (1.0, 2.0, 4.0):
        with pytest.raises(ModelLoadFailed) as first:
            await ask(shelf)
        assert "/secret/path" not in first.value.message
        with pytest.raises(ModelLoadFailed) as second:
            await ask(shelf)
        assert second.value.retry_after_s == pytest.approx(wait_s)
        clock.advance(wait_s)
    assert shelf.counts.failures == 3
    assert "/secret/path" in next(one.error for one in shelf.states() if one.name == "m")
    play.error = None
    assert await ask(shelf, "other") == GOOD
    assert await ask(shelf) == GOOD


async def test_an_admin_loads_a_failed_model_without_waiting(shelf, play) -> None:
    shelf.configure({"m": spec()})
    play.error = ModelLoadFailed("not yet")
    with pytest.raises(ModelLoadFailed):
        await ask(shelf)
    with pytest.raises(ModelLoadFailed, match="not yet"):
        await shelf.load(spec())
    play.error = None
    assert (await shelf.load(spec())).state == "ready"


async def test_a_missing_extra_says_how_it_is_installed(shelf, play) -> None:
    shelf.configure({"m": spec()})
    play.error = ExtraNotInstalled("pip install 'gatemill[local]'")
    with pytest.raises(ExtraNotInstalled, match="pip install"):
        await ask(shelf)
    with pytest.raises(ExtraNotInstalled, match="pip install"):
        await ask(shelf)


async def test_a_fault_of_ours_while_loading_is_no_request_without_an_end(shelf, play) -> None:
    shelf.configure({"m": spec()})
    play.error = RuntimeError("a bug")
    with pytest.raises(InternalError):
        await ask(shelf)


async def test_a_request_waits_for_loading_only_so_long(shelf, play) -> None:
    shelf.configure({"m": spec()})
    play.loading.clear()
    with pytest.raises(Overloaded, match="being loaded"):
        await shelf.exchange(asking(), Timeouts(first_token_s=0.001), 1e9)
    with pytest.raises(UpstreamTimeout):
        await ask(shelf, deadline_s=0.001)
    play.loading.set()
    assert await ask(shelf) == GOOD
    assert len(play.made) == 1


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


async def test_preloading_fails_quietly_and_loads_once(shelf, play) -> None:
    shelf.configure({"m": spec(), "bad": spec("bad", bytes=200 * MIB)})
    shelf.preload(["m", "bad"])
    shelf.preload(["m"])
    await until(lambda: (state(shelf), state(shelf, "bad")) == ("ready", "failed"))
    shelf.preload(["m", "bad"])
    await settle()
    assert len(play.made) == 1


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


async def test_one_model_asks_another(shelf, play) -> None:
    body = b'{"data":[{"index":1,"embedding":[0.0]},{"index":0,"embedding":[1.0]}]}'
    play.answer = Incoming(200, {}, body)
    shelf.configure({"m": spec()})
    shelf.reach({"local": shelf})
    assert await shelf._embed("local/m", ["a", "b"]) == [[1.0], [0.0]]
    with pytest.raises(ModelLoadFailed, match="2 vectors for 1"):
        await shelf._embed("local/m", ["a"])
    with pytest.raises(ModelNotFound):
        await shelf._embed("openai/text-embedding-3-small", ["a"])
    with pytest.raises(ModelNotFound):
        await shelf._embed("builtin/none", ["a"])
    play.answer = Incoming(500, {}, b"")
    with pytest.raises(ModelLoadFailed, match="500"):
        await shelf._embed("local/m", ["a"])
    play.answer = Incoming(200, {}, b"junk")
    with pytest.raises(ModelLoadFailed, match="no vectors"):
        await shelf._embed("local/m", ["a"])


async def test_a_first_request_is_one_of_the_models_task(shelf, play) -> None:
    for task, paths in {
        "embed": ["/embeddings"],
        "rerank": ["/rerank"],
        "generate": ["/chat/completions"],
    }.items():
        play.asked.clear()
        await shelf.load(ModelSpec(task, task, "head"))
        assert [out.path for out in play.asked] == paths


async def test_a_model_that_chats_not_may_complete(shelf, play) -> None:
    refusal = b'{"error":{"message":"no chat template"}}'

    async def answered(runtime, out, timeouts, deadline_s):
        return Incoming(400, {}, refusal) if out.path.startswith("/chat") else GOOD

    play.exchange = answered
    assert (await shelf.load(ModelSpec("m", "generate", "head"))).state == "ready"


async def test_whatever_a_first_request_fails_with_is_told(shelf, play) -> None:
    play.answer = Incoming(500, {}, b"<html>")
    with pytest.raises(ModelLoadFailed, match="it answered 500"):
        await shelf.load(spec())

    async def raising(runtime, out, timeouts, deadline_s):
        raise UpstreamTimeout("Too slow.")

    play.exchange = raising
    with pytest.raises(ModelLoadFailed, match="Too slow"):
        await shelf.load(spec("n"))


async def test_a_version_whose_source_has_changed_is_loaded_anew(shelf, play) -> None:
    await shelf.load(spec())
    await shelf.load(spec(bytes=1))
    await settle()
    assert play.closed == ["m"]
    assert len(play.made) == 2


async def test_a_source_is_examined_without_being_loaded(shelf, tmp_path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    found = ModelSpec("m:1", "embed", "onnx", f"file:{tmp_path}")
    assert await shelf.examine(found) == digest(tmp_path)
    with pytest.raises(ModelLoadFailed, match="not those that were pinned"):
        await shelf.examine(replace(found, sha256="0" * 64))
    assert shelf.states() == []


def test_a_missing_package_is_named_with_the_command_that_brings_it() -> None:
    with pytest.raises(ExtraNotInstalled, match=r"nowhere: pip install 'gatemill\[local\]'"):
        needed("nowhere", "local")


async def test_an_engine_that_is_none_is_refused(shelf) -> None:
    with pytest.raises(ModelLoadFailed, match="no engine"):
        await shelf.load(ModelSpec("m", "embed", "../evil"))
