"""Reading in: interrupted anywhere it goes on, and an embedder that changes meanwhile spoils nothing."""

from __future__ import annotations

import msgspec
import pytest

import databases
from gatemill.core.clock import FakeClock
from gatemill.core.errors import ContentBlocked, UpstreamUnreachable
from gatemill.knowledge.chunking import Strategy
from gatemill.knowledge.extracting.limits import Limits
from gatemill.knowledge.extracting.reading import Reading
from gatemill.knowledge.ingesting import GROUP_PASSAGES, Ingesting, Terms
from gatemill.ledger.files import Label
from gatemill.ledger.knowledge import documents, filling
from gatemill.ledger.knowledge.documents import Filling, NewDocument
from gatemill.ledger.knowledge.rows import Embedder
from gatemill.ledger.knowledge.stores import NewStore
from gatemill.ledger.ledger import Ledger

OWNER = "key:a"
TERMS = Terms(
    embedding_model="",
    stores_max=10,
    bytes_max_per_owner=1 << 30,
    documents_max=100,
    chunks_max=1_000,
    document_chunks_max=500,
    inline_bytes=1_000,
)
LIMITS = Limits(
    file_bytes=100_000, text_bytes=100_000, pdf_pages=3, timeout_s=20.0, memory_bytes=1 << 29
)
STATIC = '{"type":"static","static":{"max_chunk_size_tokens":100,"chunk_overlap_tokens":0}}'
TEXT = "\n\n".join(f"Paragraph {number}. " + "wheat " * 60 for number in range(150))


class Model:
    """An embedder that answers so many times, and then is away."""

    def __init__(self, answers, dimensions=2, then=None):
        self.asked = []
        self._left = answers
        self._dimensions = dimensions
        self._then = then

    async def ask(self, operation, body, step):
        self._left -= 1
        if self._left < 0:
            raise UpstreamUnreachable("It is away.")
        texts = msgspec.json.decode(body)["input"]
        self.asked += texts
        if self._then is not None:
            then, self._then = self._then, None
            await then()
        vector = [1.0] * self._dimensions
        data = [{"index": at, "embedding": vector} for at in range(len(texts))]
        return msgspec.json.encode({"data": data})

    async def storable(self, text):
        if "forbidden" in text:
            raise ContentBlocked("The guard pii does not let this pass.")
        return text


@pytest.fixture
async def ledger(tmp_path):
    databases.lay(tmp_path)
    opened = Ledger.open(tmp_path, None, FakeClock(1_763_700_000.0))
    yield opened
    await opened.close()


def ingesting(ledger, **terms):
    made = msgspec.structs.replace(TERMS, **terms)
    return Ingesting(ledger, Reading(LIMITS), made, lambda _model: 256, lambda: 0.0)


async def begun(ledger, mode="hybrid", chunking=STATIC, document_id="d"):
    new = NewStore(
        id="vs_1",
        owner=OWNER,
        name="n",
        description="",
        mode=mode,
        embedder="m" if mode == "hybrid" else "",
        metadata="{}",
        expires_days=None,
    )
    store = await ledger.knowledge.create(new, 10)
    one = NewDocument(id=document_id, title="t", chunking=chunking)
    return store, (await ledger.knowledge.begin(store, [one], Filling()))[0]


async def test_what_was_stored_is_not_asked_for_again(ledger):
    store, document = await begun(ledger)
    work, told = ingesting(ledger), []
    with pytest.raises(UpstreamUnreachable):
        await work.read_in(Model(1), store, document, TEXT)
    again = await ledger.knowledge.document(store, "d")
    assert (again.status, again.chunks) == ("in_progress", GROUP_PASSAGES)
    model = Model(9)
    assert await work.read_in(model, store, again, TEXT, lambda *how: told.append(how))
    done = await ledger.knowledge.document(store, "d")
    assert (done.status, done.chunks) == ("completed", 150)
    assert len(model.asked) == 150 - GROUP_PASSAGES
    assert told[-1] == (150, 150)
    text = await ledger.knowledge.document_text(store, "d")
    assert text.split() == TEXT.split()


async def test_one_who_is_overtaken_goes_on_behind_the_other(ledger):
    """A worker that was given up may still be at work."""
    store, document = await begun(ledger)
    work = ingesting(ledger)

    async def other():
        with pytest.raises(UpstreamUnreachable):
            await work.read_in(Model(1), store, document, TEXT)

    assert await work.read_in(Model(99, then=other), store, document, TEXT)
    done = await ledger.knowledge.document(store, "d")
    assert (done.status, done.chunks) == ("completed", 150)
    assert (
        len(
            await ledger.knowledge.dense(
                await ledger.knowledge.store("vs_1", OWNER), [1, 1], None, 500
            )
        )
        == 150
    )


async def test_emptying_that_is_killed_half_way_spoils_nothing(ledger, monkeypatch):
    monkeypatch.setattr(documents, "DROP_CHUNKS", 50)
    store, document = await begun(ledger)
    knowledge = ledger.knowledge
    with pytest.raises(UpstreamUnreachable):
        await ingesting(ledger).read_in(Model(2), store, document, TEXT)
    reembedding = await knowledge.reembed(store, "job_1")
    assert await knowledge.switch(reembedding, Embedder("m", 3))
    await knowledge._write(lambda db: filling.empty_some(db, knowledge._engine, document, 0.0))
    store = await knowledge.store(store.id, OWNER)
    (document,) = await knowledge.of_job(store, "", 9)
    assert await ingesting(ledger).read_in(Model(99, dimensions=3), store, document, TEXT)
    text = await knowledge.document_text(store, "d")
    assert text.split() == TEXT.split()
    assert len(await knowledge.dense(store, [1, 1, 1], None, 500)) == 150


async def test_an_embedder_that_changes_meanwhile_begins_anew(ledger):
    store, document = await begun(ledger)
    knowledge = ledger.knowledge

    async def change():
        reembedding = await knowledge.reembed(store, "job_1")
        assert await knowledge.switch(reembedding, Embedder("m", 3))

    model = Model(99, dimensions=3, then=change)
    assert await ingesting(ledger).read_in(model, store, document, TEXT)
    done = await knowledge.document(store, "d")
    assert (done.status, done.chunks) == ("completed", 150)
    store = await knowledge.store(store.id, OWNER)
    assert len(await knowledge.dense(store, [1, 1, 1], None, 500)) == 150


async def test_a_document_deleted_meanwhile_stops(ledger):
    store, document = await begun(ledger)

    async def delete():
        await ledger.knowledge.detach(store, "d")

    model = Model(99, then=delete)
    assert not await ingesting(ledger).read_in(model, store, document, TEXT)
    assert len(model.asked) == GROUP_PASSAGES
    while await ledger.knowledge.retain():
        pass
    assert await ledger.knowledge.size() == (0, 0)


@pytest.mark.parametrize(
    ("terms", "word"),
    [({"document_chunks_max": 149}, "document_chunks_max"), ({"chunks_max": 149}, "chunks_max")],
)
async def test_too_many_passages_fail_the_document_before_any_is_embedded(ledger, terms, word):
    store, document = await begun(ledger)
    model = Model(0)
    assert await ingesting(ledger, **terms).read_in(model, store, document, TEXT)
    failed = await ledger.knowledge.document(store, "d")
    assert (failed.status, failed.error_code, failed.chunks) == ("failed", "invalid_file", 0)
    assert word in failed.error_message


async def test_a_text_that_a_guard_blocks_fails_the_document_before_any_of_it_is_stored(ledger):
    store, document = await begun(ledger)
    model = Model(0)
    assert await ingesting(ledger).read_in(model, store, document, "forbidden words")
    failed = await ledger.knowledge.document(store, "d")
    assert (failed.status, failed.error_code, failed.chunks) == ("failed", "invalid_file", 0)
    assert "guard pii" in failed.error_message


async def test_a_file_is_read_and_one_that_is_gone_or_too_large_fails(ledger):
    store, document = await begun(ledger, "keyword", '{"type":"auto"}', "file-1")
    work = ingesting(ledger)
    assert work.strategy(store, document) == Strategy(512, 76)
    await work.read_in(Model(0), store, document, None)
    assert "gone" in (await ledger.knowledge.document(store, "file-1")).error_message
    draft = await ledger.files.begin("file-1", OWNER, None)
    await draft.write(b"Oats.")
    await ledger.files.finish(draft, Label("assistants", "oats.txt", None))
    assert await work.file_text("file-1", OWNER) == "Oats."
    one = NewDocument(id="file-1", title="t")
    document = (await ledger.knowledge.begin(store, [one], Filling()))[0]
    assert await work.read_in(Model(0), store, document, None)
    assert (await ledger.knowledge.document(store, "file-1")).status == "completed"
    draft = await ledger.files.begin("file-2", OWNER, None)
    await draft.write(b"x" * 100_001)
    await ledger.files.finish(draft, Label("assistants", "x.txt", None))
    two = NewDocument(id="file-2", title="t")
    document = (await ledger.knowledge.begin(store, [two], Filling()))[0]
    await work.read_in(Model(0), store, document, None)
    assert "file_bytes" in (await ledger.knowledge.document(store, "file-2")).error_message
