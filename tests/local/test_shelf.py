"""The shelf with runtimes of the test's own, which a fake engine hands out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from gatemill.core.call import Timeouts
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

if TYPE_CHECKING:
    pass
from shelf_play import GOOD, MIB, ask, asking, settle, spec, state, until


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


async def test_preloading_fails_quietly_and_loads_once(shelf, play) -> None:
    shelf.configure({"m": spec(), "bad": spec("bad", bytes=200 * MIB)})
    shelf.preload(["m", "bad"])
    shelf.preload(["m"])
    await until(lambda: (state(shelf), state(shelf, "bad")) == ("ready", "failed"))
    shelf.preload(["m", "bad"])
    await settle()
    assert len(play.made) == 1


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
