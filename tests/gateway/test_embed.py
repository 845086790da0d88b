"""The vector of a prompt: an embeddings request of our own, billed to the call that it serves."""

from __future__ import annotations

import weakref

import msgspec
import pytest
from msgspec.structs import replace

from gatemill.core.errors import ModelNotFound, UpstreamBadReply
from gatemill.core.ports import Incoming
from gatemill.gateway.embed import Embedder
from gateway_parts import KEY, PRICE, Stage, route
from playbook import call, target

VECTORS = {"object": "list", "data": [{"index": 0, "embedding": [0.5, 1.0]}], "model": "m"}
USED = {"usage": {"prompt_tokens": 4, "total_tokens": 4}}


def made(*answers: object) -> tuple[Stage, Embedder]:
    stage = Stage(route(replace(target(*answers), price=PRICE), name="embed"))
    embedder = Embedder()
    embedder.gateway = weakref.ref(stage.gateway)
    return stage, embedder


def said(body: dict[str, object]) -> Incoming:
    return Incoming(200, {}, msgspec.json.encode(body))


async def test_the_vector_comes_and_the_call_that_it_serves_pays():
    stage, embedder = made(said(VECTORS | USED))
    served = call()
    served.key = KEY
    assert await embedder(served, "embed", "how are you?") == [0.5, 1.0]
    (row,) = stage.rows
    assert (row.key_id, row.operation, row.cost_microusd) == ("k1", "embeddings", 4)
    assert served.besides_microusd == 4
    assert served.attempts == []


async def test_a_model_that_is_not_there_is_said():
    _, embedder = made(said(VECTORS))
    served = call()
    served.key = KEY
    with pytest.raises(ModelNotFound):
        await embedder(served, "nothing", "how are you?")


async def test_an_answer_without_a_vector_is_none():
    _, embedder = made(said({"object": "list", "data": [], "model": "m"} | USED))
    served = call()
    served.key = KEY
    with pytest.raises(UpstreamBadReply):
        await embedder(served, "embed", "how are you?")
