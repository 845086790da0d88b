"""Vectors in memory: bounded, loaded again when something has changed, exact also when they do not fit."""

from __future__ import annotations

import numpy as np
import pytest

import databases
from gatemill.core.clock import FakeClock
from gatemill.core.errors import UpstreamBadReply
from gatemill.ledger.knowledge import matrix
from gatemill.ledger.knowledge.documents import Filling, NewDocument
from gatemill.ledger.knowledge.filling import Passage
from gatemill.ledger.knowledge.numbers import packed
from gatemill.ledger.knowledge.stores import NewStore
from gatemill.ledger.ledger import Ledger

OWNER = "key:a"
DIMENSIONS = 8
COUNT = 40
VECTORS = np.random.default_rng(7).standard_normal((COUNT, DIMENSIONS))
BYTES = COUNT * (4 * DIMENSIONS + 24)


@pytest.fixture
async def knowledge(tmp_path):
    databases.lay(tmp_path)
    opened = Ledger.open(tmp_path, None, FakeClock(1_763_700_000.0))
    yield opened.knowledge
    await opened.close()


async def filled(knowledge, store_id):
    store = await knowledge.create(
        NewStore(
            id=store_id,
            owner=OWNER,
            name="n",
            description="",
            mode="hybrid",
            embedder="e",
            metadata="{}",
            expires_days=None,
        ),
        10,
    )
    await more(knowledge, store, "d", VECTORS)
    return await knowledge.store(store_id, OWNER)


async def more(knowledge, store, name, vectors):
    document = (await knowledge.begin(store, [NewDocument(id=name, title="t")], Filling()))[0]
    passages = [Passage(0, 1, "x", packed(vector.tolist())) for vector in vectors]
    await knowledge.add(document, store, passages)
    await knowledge.complete(document, store)


async def nearest(knowledge, store, k=5):
    found = await knowledge.dense(store, VECTORS[3].tolist(), None, k)
    return [int(hit.chunk_id.removeprefix("chunk_")) - 1 for hit in found]


def exact(k=5):
    units = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    return np.argsort(-(units @ units[3]))[:k].tolist()


async def test_a_store_is_loaded_once_until_it_changes(knowledge):
    store = await filled(knowledge, "vs_1")
    counters = knowledge.matrices.counters
    assert [await nearest(knowledge, store), await nearest(knowledge, store)] == [exact()] * 2
    assert (counters.loads, counters.hits, counters.bytes) == (1, 1, BYTES)
    await more(knowledge, store, "e", VECTORS[3:4])
    store = await knowledge.store("vs_1", OWNER)
    assert set((await nearest(knowledge, store))[:2]) == {3, COUNT}
    assert (counters.loads, counters.evictions) == (2, 0)


async def test_the_one_searched_longest_ago_makes_room(knowledge):
    knowledge.matrices.bytes_max = BYTES
    first, second = await filled(knowledge, "vs_1"), await filled(knowledge, "vs_2")
    counters = knowledge.matrices.counters
    for store in (first, second, second, first):
        await nearest(knowledge, store)
    assert (counters.loads, counters.hits, counters.evictions) == (3, 1, 2)
    assert counters.bytes == BYTES


async def test_a_store_that_does_not_fit_is_searched_block_by_block(knowledge, monkeypatch):
    monkeypatch.setattr(matrix, "BLOCK_ROWS", 7)
    knowledge.matrices.bytes_max = BYTES - 1
    store = await filled(knowledge, "vs_1")
    assert await nearest(knowledge, store, 12) == exact(12)
    counters = knowledge.matrices.counters
    assert (counters.scans, counters.loads, counters.bytes) == (1, 0, 0)


def test_vectors_are_of_length_one_or_zero_or_refused():
    assert np.frombuffer(packed([3.0, 4.0]), "<f4").tolist() == pytest.approx([0.6, 0.8])
    assert packed([0.0, 0.0]) == bytes(8)
    for bad in ([], [float("nan")], [float("inf"), 1.0]):
        with pytest.raises(UpstreamBadReply):
            packed(bad)
