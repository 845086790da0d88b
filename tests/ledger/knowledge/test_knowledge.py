"""One contract for SQLite, Postgres without pgvector, and Postgres with it."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from gatemill.core.errors import InvalidValue, NotFound, RateLimited
from gatemill.ledger import queries
from gatemill.ledger.knowledge import filling, filters
from gatemill.ledger.knowledge.documents import Filling, NewDocument
from gatemill.ledger.knowledge.filling import Outdated, Passage
from gatemill.ledger.knowledge.numbers import packed
from gatemill.ledger.knowledge.rows import COMPLETED, Embedder
from gatemill.ledger.knowledge.stores import Change, NewStore, Page

OWNER = "key:a"
VECTORS = queries.literal("vectors", "SELECT number, generation FROM chunk_vectors")


def new_store(store_id="vs_1", owner=OWNER, **more):
    row = {"name": "manuals", "description": "", "mode": "hybrid", "embedder": "e"}
    return NewStore(id=store_id, owner=owner, metadata="{}", expires_days=None, **{**row, **more})


async def made(knowledge, store_id="vs_1", owner=OWNER, **more):
    return await knowledge.create(new_store(store_id, owner, **more), 10)


async def added(knowledge, store, document_id, texts, attributes="{}"):
    """A document of one passage for each (text, vector)."""
    new = NewDocument(id=document_id, title=f"{document_id}.txt", attributes=attributes)
    document = (await knowledge.begin(store, [new], Filling()))[0]
    at, passages = 0, []
    for text, vector in texts:
        passages.append(Passage(at, at + len(text), text, packed(vector) if vector else b""))
        at += len(text) + 2
    assert await knowledge.add(document, store, passages)
    assert await knowledge.complete(document, store)
    return document


async def texts_of(knowledge, store, hits):
    found = await knowledge.get(store, [hit.chunk_id for hit in hits])
    return [found[hit.chunk_id].text for hit in hits]


CATS = [("the cat sat on the mat", [1, 0, 0]), ("a dog barked at night", [0, 1, 0])]
FISH = [("a fish swims; no cat in the sea", [0.6, 0, 0.8])]


async def test_words_and_vectors_are_found_within_their_store_alone(ledger):
    knowledge = ledger.knowledge
    mine, other = await made(knowledge), await made(knowledge, "vs_2")
    theirs = await made(knowledge, "vs_3", "key:b")
    await added(knowledge, mine, "file-1", CATS, '{"year": 2024}')
    await added(knowledge, mine, "file-2", FISH, '{"year": 2026}')
    await added(knowledge, other, "file-1", [("another cat", [1, 0, 0])])
    await added(knowledge, theirs, "file-9", [("their cat", [1, 0, 0])])
    mine = await knowledge.store("vs_1", OWNER)
    assert (mine.chunks, mine.documents.completed, mine.embedder.dimensions) == (3, 2, 3)
    assert mine.bytes == sum(len(text) + 12 for text, _ in CATS + FISH)
    hits = await knowledge.keyword(mine, "CAT mat", None, 10)
    assert await texts_of(knowledge, mine, hits) == [CATS[0][0], FISH[0][0]]
    assert hits[0].score > hits[1].score > 0
    near = await knowledge.dense(mine, [2, 0, 0], None, 10)
    assert await texts_of(knowledge, mine, near) == [CATS[0][0], FISH[0][0], CATS[1][0]]
    assert [round(hit.score, 4) for hit in near] == [1.0, 0.6, 0.0]
    assert len(await knowledge.dense(mine, [2, 0, 0], None, 1)) == 1
    where = filters.read({"type": "gte", "key": "year", "value": 2025})
    assert await texts_of(knowledge, mine, await knowledge.keyword(mine, "cat", where, 9)) == [
        FISH[0][0]
    ]
    assert await texts_of(knowledge, mine, await knowledge.dense(mine, [1, 0, 0], where, 9)) == [
        FISH[0][0]
    ]
    none = filters.read({"type": "eq", "key": "year", "value": "2026"})
    assert await knowledge.keyword(mine, "cat", none, 9) == []
    assert await knowledge.dense(mine, [1, 0, 0], none, 9) == []
    # Nobody finds with a store in hand what is not theirs, and no id of a chunk leads elsewhere.
    assert await knowledge.get(other, [hit.chunk_id for hit in hits]) == {}
    assert await knowledge.vectors(other, [hit.chunk_id for hit in hits]) == {}
    vectors = await knowledge.vectors(mine, [near[1].chunk_id, "chunk_x", "chunk_999999999999"])
    assert vectors[near[1].chunk_id].tolist() == pytest.approx([0.6, 0, 0.8])
    with pytest.raises(NotFound):
        await knowledge.store("vs_3", OWNER)


ODD = ('"cat', "cat*", "NEAR(cat", "cat OR (", "scope:x cat", "-cat", "cat:* & |", "ca't cat")


async def test_nothing_in_a_query_is_syntax(ledger):
    knowledge = ledger.knowledge
    store = await made(knowledge)
    await added(knowledge, store, "file-1", CATS)
    for query in ODD:
        assert len(await knowledge.keyword(store, query, None, 10)) == 1, query


async def test_words_of_any_script_are_found_and_common_ones_only_alone(ledger):
    knowledge = ledger.knowledge
    store = await made(knowledge, mode="keyword", embedder="")
    texts = ["Der Fuchs läuft über snake_case", "лиса бежит", "the and of"]
    await added(knowledge, store, "d", [(text, None) for text in texts])
    for query, found in (
        ("ÜBER", [texts[0]]),
        ("snake_case", [texts[0]]),
        ("ЛИСА the", [texts[1]]),
        ("the", [texts[2]]),
        ("!?", []),
    ):
        hits = await knowledge.keyword(store, query, None, 5)
        assert await texts_of(knowledge, store, hits) == found, query
    assert await knowledge.dense(store, [1.0], None, 5) == []


async def test_a_document_is_found_once_it_is_complete_and_until_it_is_gone(ledger):
    knowledge = ledger.knowledge
    store = await made(knowledge)
    new = NewDocument(id="file-1", title="t")
    document = (await knowledge.begin(store, [new], Filling()))[0]
    await knowledge.add(document, store, [Passage(0, 3, "cat", packed([1, 0]))])
    document = replace(document, chunks=1)
    await knowledge.add(document, store, [Passage(7, 11, "lion", packed([0, 1]))])

    async def found():
        now = await knowledge.store(store.id, OWNER)
        return (
            len(await knowledge.keyword(now, "cat lion", None, 5)),
            len(await knowledge.dense(now, [1, 1], None, 5)),
        )

    assert await found() == (0, 0)
    assert await knowledge.complete(document, store)
    assert await found() == (2, 2)
    assert await knowledge.document_text(store, "file-1") == "cat\n\n  lion"
    replaced = (await knowledge.begin(store, [new], Filling()))[0]
    assert await found() == (0, 0)
    assert not await knowledge.add(document, store, [Passage(0, 3, "old")])
    assert not await knowledge.complete(document, store)
    assert await knowledge.fail(replaced, "invalid_file", "It is empty.")
    shown = await knowledge.document(store, "file-1")
    assert (shown.status, shown.error_code, shown.error_message) == (
        "failed",
        "invalid_file",
        "It is empty.",
    )
    await knowledge.detach(store, "file-1")
    with pytest.raises(NotFound):
        await knowledge.document(store, "file-1")
    while await knowledge.retain():
        pass
    assert await knowledge.size() == (0, 0)
    assert await found() == (0, 0)


async def test_a_deleted_store_is_gone_at_once_and_its_rows_soon(ledger):
    knowledge = ledger.knowledge
    store = await made(knowledge)
    await added(knowledge, store, "file-1", CATS)
    with pytest.raises(NotFound):
        await knowledge.delete(store.id, "key:b")
    before = await knowledge.store(store.id, OWNER)
    await knowledge.delete(store.id, OWNER)
    with pytest.raises(NotFound):
        await knowledge.store(store.id, OWNER)
    assert await knowledge.keyword(before, "cat", None, 5) == []
    while await knowledge.retain():
        pass
    assert await knowledge.size() == (0, 0)


async def test_lists_have_pages_in_both_directions(ledger, clock):
    knowledge = ledger.knowledge
    for number in range(4):
        await made(knowledge, f"vs_{number}", name=f"s{number}")
    await made(knowledge, "vs_9", "key:b")

    async def ids(**page):
        return [one.id for one in await knowledge.listed(OWNER, Page(**{"limit": 2, **page}))]

    assert await ids() == ["vs_3", "vs_2"]
    assert await ids(after="vs_2") == ["vs_1", "vs_0"]
    assert await ids(oldest_first=True, after="vs_1") == ["vs_2", "vs_3"]
    assert await ids(oldest_first=True, before="vs_1") == ["vs_0"]
    assert (await knowledge.find("s2", OWNER)).id == "vs_2"
    assert (await knowledge.find("vs_2", OWNER)).name == "s2"
    store = await knowledge.store("vs_0", OWNER)
    new = [NewDocument(id=f"d{number}", title="t") for number in range(3)]
    await knowledge.begin(store, new, Filling(batch_id="vsfb_1"))

    async def documents(status="", batch="", **page):
        found = await knowledge.page(store, Page(**{"limit": 5, **page}), status, batch)
        return [one.id for one in found]

    assert await documents(oldest_first=True) == ["d0", "d1", "d2"]
    assert await documents(after="d2") == ["d1", "d0"]
    assert await documents("completed") == []
    assert await documents("in_progress", "vsfb_1", limit=1) == ["d2"]
    assert await documents(batch="vsfb_2") == []
    batch = await knowledge.cancel_batch(store, "vsfb_1")
    assert (batch.cancelled, batch.documents.cancelled) == (True, 3)
    with pytest.raises(NotFound):
        await knowledge.batch(store, "vsfb_2")


async def test_a_store_changes_and_is_limited_and_expires(ledger, clock):
    knowledge = ledger.knowledge
    await knowledge.create(new_store(), 1)
    with pytest.raises(RateLimited, match=r"knowledge\.stores_max"):
        await knowledge.create(new_store("vs_2"), 1)
    changed = await knowledge.change("vs_1", OWNER, Change(name="n", expires_days=2))
    assert (changed.name, changed.metadata, changed.expires_days) == ("n", "{}", 2)
    clock.advance(86_400.0)
    await knowledge.touch(changed)
    clock.advance(1.5 * 86_400.0)
    await knowledge.retain()
    assert (await knowledge.store("vs_1", OWNER)).expires_at == pytest.approx(
        clock.unix_s() + 0.5 * 86_400.0
    )
    clock.advance(86_400.0)
    await knowledge.retain()
    with pytest.raises(NotFound):
        await knowledge.store("vs_1", OWNER)


async def test_another_embedder_takes_over_when_all_vectors_are_there(ledger):
    knowledge = ledger.knowledge
    store = await made(knowledge)
    await added(knowledge, store, "file-1", CATS)
    store = await knowledge.store(store.id, OWNER)
    bare = await knowledge.without_vector(store, 2, 0, 10)
    assert [one.text for one in bare] == [text for text, _ in CATS]
    lost = await knowledge.reembed(store, "job_0")
    await knowledge.add_vectors(lost, [(bare[0], packed([1, 1, 1, 1]))])
    work = await knowledge.reembed(store, "job_1")
    with pytest.raises(Outdated):
        await knowledge.add_vectors(lost, [(bare[1], packed([1, 1, 1, 1]))])
    await knowledge.add_vectors(work, [(bare[0], packed([0, 1]))])
    assert await knowledge.reembed(store, "job_1") == work
    assert not await knowledge.switch(work, Embedder("new", 2))
    assert len(await knowledge.dense(store, [1, 0, 0], None, 5)) == 2
    await knowledge.add_vectors(work, [(bare[1], packed([1, 0]))])
    assert await knowledge.switch(work, Embedder("new", 2))
    late = (await knowledge.begin(store, [NewDocument(id="late", title="t")], Filling()))[0]
    with pytest.raises(Outdated):
        await knowledge.add(late, store, [Passage(0, 1, "x", packed([1, 0, 0]))])
    store = await knowledge.store(store.id, OWNER)
    assert (store.embedder, store.generation) == (Embedder("new", 2), 2)
    near = await knowledge.dense(store, [1, 0], None, 5)
    assert await texts_of(knowledge, store, near) == [CATS[1][0], CATS[0][0]]
    with pytest.raises(InvalidValue, match="3 numbers"):
        await knowledge.dense(store, [1, 0, 0], None, 5)
    with pytest.raises(InvalidValue, match=r"documents\.reembed"):
        await knowledge.add(late, store, [Passage(0, 1, "x", packed([1, 0, 0]))])


async def test_vectors_that_a_killed_job_left_behind_go_with_the_next(ledger):
    knowledge = ledger.knowledge
    store = await made(knowledge)
    await added(knowledge, store, "d", CATS)
    work = await knowledge.reembed(store, "job_1")
    bare = await knowledge.without_vector(store, 1 + store.generation, 0, 9)
    await knowledge.add_vectors(work, [(one, packed([1, 0])) for one in bare])
    # As the job did before it was killed.
    assert await knowledge._write(lambda db: filling.switch(db, work, Embedder("f", 2)))
    store = await knowledge.store(store.id, OWNER)
    await knowledge.reembed(store, "job_1")
    found = await knowledge._write(lambda db: db.rows(VECTORS))
    assert {row["generation"] for row in found} == {store.generation}
    assert len(found) == len(CATS)


async def test_documents_that_nobody_reads_in_end(ledger, clock):
    knowledge = ledger.knowledge
    store = await made(knowledge)
    await knowledge.begin(store, [NewDocument(id="d", title="t")], Filling())
    await knowledge.retain()
    assert (await knowledge.document(store, "d")).status == "in_progress"
    clock.advance(1_000.0)
    await knowledge.retain()
    assert (await knowledge.document(store, "d")).error_code == "server_error"


async def test_many_searches_and_additions_at_once_agree_in_the_end(ledger):
    knowledge = ledger.knowledge
    store = await made(knowledge)

    async def one(number):
        await added(knowledge, store, f"d{number}", [(f"cat {number}", [1, number])])
        now = await knowledge.store(store.id, OWNER)
        assert await knowledge.dense(now, [1, number], None, 1)

    await asyncio.gather(*map(one, range(12)))
    store = await knowledge.store(store.id, OWNER)
    assert len(await knowledge.keyword(store, "cat", None, 50)) == 12
    assert len(await knowledge.dense(store, [1, 0], None, 50)) == 12
    found = await knowledge.documents(store, 50, status=COMPLETED)
    assert [one.id for one in found] == sorted((one.id for one in found), key=len) or len(
        found
    ) == 12
