"""Passages and vectors on their way in. Rule: functions of an open database; the caller has the transaction.

Who locks a store and a document locks the store first. Whoever was faster wins: a document that was cancelled, deleted or added anew takes no more passages,
and vectors of an embedder that the store has left behind are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill.core.errors import InvalidValue
from gatemill.ledger import queries
from gatemill.ledger.knowledge import documents, stores
from gatemill.ledger.knowledge.engines import VectorRow
from gatemill.ledger.knowledge.rows import COMPLETED, HYBRID, Embedder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.ledger.database import Database
    from gatemill.ledger.knowledge.engines import Engine
    from gatemill.ledger.knowledge.rows import Document, Store

DROP_VECTORS = 500  # in one transaction
_FLOAT_BYTES = 4
_SQL = queries.load("knowledge")


class Outdated(Exception):
    """The store has another embedder by now: the vectors at hand are of no use."""


class Elsewhere(Exception):
    """Somebody else reads the same document in, and has come to another place."""

    def __init__(self, chunks: int) -> None:
        super().__init__(f"{chunks} passages are stored")
        self.chunks = chunks


class Passage(Struct, frozen=True):
    """text[start:end] of a document, about to be stored."""

    start: int
    end: int
    text: str
    vector: bytes = b""  # of length 1; b"": the store has none


class Bare(Struct, frozen=True):
    """A passage that has no vector of some generation yet."""

    number: int
    document: int
    text: str


class Reembedding(Struct, frozen=True):
    """A job that writes the vectors of another embedder."""

    store: Store  # as it was when the job began
    job_id: str


def add(
    database: Database,
    engine: Engine,
    document: Document,
    store: Store,
    passages: Sequence[Passage],
    now_s: float,
) -> bool:
    """The passages stand behind `document.chunks` others; False: the document takes none any more.

    Raises Outdated, Elsewhere, NotFound, and InvalidValue for vectors of another length than the
    store's.
    """
    if passages and passages[0].vector and not store.embedder.dimensions:
        stores.lock(database, store.id, store.owner)  # one alone teaches it their length
    current = _current(database, store)
    locked = database.rows(_SQL["lock_document"], {"number": document.number})
    if not locked:
        return False
    before = int(locked[0]["chunks"])
    if before != document.chunks:  # a worker that was given up may still be at work
        raise Elsewhere(before)
    first = documents.take(database, "chunk", len(passages))
    rows = [
        (first + at, store.id, document.number, before + at, one.start, one.end, one.text)
        for at, one in enumerate(passages)
    ]
    database.run_many(_SQL["add_chunk"], rows)
    engine.add_words(database, [(row[0], row[6], store.id) for row in rows])
    dimensions = _dimensions(passages, current) if passages else 0
    if dimensions:
        learned = {"id": store.id, "dimensions": dimensions}
        database.run(_SQL["learn_dimensions"], learned)
        vectors = [
            VectorRow(
                first + at, store.generation, store.id, document.number, dimensions, one.vector
            )
            for at, one in enumerate(passages)
        ]
        engine.add_vectors(database, vectors)
    size = sum(len(one.text.encode()) + len(one.vector) for one in passages)
    grown = {"number": document.number, "chunks": len(passages), "bytes": size, "now_s": now_s}
    database.run(_SQL["grow_document"], grown)
    return True


def complete(database: Database, document: Document, store: Store, now_s: float) -> bool:
    """The document can be found from now on; as `add`. Raises Outdated where vectors are missing."""
    stores.lock(database, store.id, store.owner)
    _current(database, store)
    wanted = {"document": document.number, "generation": store.generation}
    if store.mode == HYBRID and database.rows(_SQL["lacks_vectors"], wanted):
        raise Outdated
    if not documents.end(database, document.number, COMPLETED, "", "", now_s):
        return False
    database.run(_SQL["revise_store"], {"id": store.id, "now_s": now_s})
    return True


def empty_some(database: Database, engine: Engine, document: Document, now_s: float) -> bool:
    """Some passages of a document are deleted that is read in anew; False: that were all."""
    more = documents.drop_some(database, engine, document.number)
    if not more:  # not before: who goes on after a crash would store beside those left over
        database.run(_SQL["empty_document"], {"number": document.number, "now_s": now_s})
    return more


def without_vector(
    database: Database, store: Store, generation: int, above: int, limit: int
) -> list[Bare]:
    """Passages that have no vector of this generation."""
    wanted = {"store_id": store.id, "generation": generation, "above": above, "limit": limit}
    return [Bare(**row) for row in database.rows(_SQL["without_vector"], wanted)]


def claim(database: Database, store: Store, job_id: str) -> bool:
    """This job alone writes the next generation; False: it did before. Raises Outdated, NotFound."""
    _current(database, store)
    row = {"id": store.id, "owner": store.owner, "job_id": job_id}
    return database.run(_SQL["claim_store"], row) > 0


def add_vectors(
    database: Database, engine: Engine, work: Reembedding, rows: Sequence[tuple[Bare, bytes]]
) -> None:
    """Vectors of the next generation. Raises Outdated, NotFound."""
    store = work.store
    _check_claim(database, work)
    made = [
        VectorRow(
            bare.number,
            store.generation + 1,
            store.id,
            bare.document,
            len(vector) // _FLOAT_BYTES,
            vector,
        )
        for bare, vector in rows
    ]
    engine.add_vectors(database, made)


def switch(database: Database, work: Reembedding, embedder: Embedder) -> bool:
    """Searches use the next generation; False: it lacks vectors of documents that came meanwhile.

    Raises Outdated, NotFound.
    """
    store = work.store
    stores.lock(database, store.id, store.owner)
    _check_claim(database, work)
    generation = store.generation + 1
    if without_vector(database, store, generation, 0, 1):
        return False
    stores.switch(database, store, embedder, generation)
    return True


def drop_generation(database: Database, store: Store, generation: int) -> bool:
    """Some vectors of this generation are deleted; False: that were all."""
    few = {"store_id": store.id, "generation": generation, "limit": DROP_VECTORS}
    return database.run(_SQL["drop_generation"], few) > 0


def _check_claim(database: Database, work: Reembedding) -> None:
    store = _current(database, work.store)
    row = {"id": store.id, "owner": store.owner, "job_id": work.job_id}
    if not database.rows(_SQL["claimed_store"], row):
        raise Outdated


def _current(database: Database, store: Store) -> Store:
    current = stores.read(database, store.id, store.owner)
    if current.generation != store.generation:
        raise Outdated
    return current


def _dimensions(passages: Sequence[Passage], store: Store) -> int:
    lengths = {len(one.vector) // _FLOAT_BYTES for one in passages}
    if lengths == {0}:
        return 0
    known = store.embedder.dimensions
    if len(lengths) > 1 or (known and lengths != {known}):
        raise InvalidValue(
            f"The embedding model {store.embedder.model} gave vectors of {max(lengths)} numbers; those"
            f" of this store have {known}. Embed the store anew with the job documents.reembed.",
            param="embedding_model",
        )
    return lengths.pop()


def text_of(database: Database, document: Document, chunks_read: int) -> str:
    """The text of a document, from its passages; what stood between them were spaces."""
    parts: list[str] = []
    at = first = 0
    while rows := _passages(database, document.number, first, chunks_read):
        for row in rows:
            if row["start_at"] > at:
                parts.append("\n" * min(2, row["start_at"] - at) + " " * (row["start_at"] - at - 2))
                at = row["start_at"]
            if row["end_at"] > at:
                parts.append(row["text"][at - row["start_at"] :])
                at = row["end_at"]
        first = rows[-1]["ordinal"] + 1
    return "".join(parts)


def _passages(database: Database, number: int, first: int, limit: int) -> list[dict[str, Any]]:
    wanted = {"document": number, "first": first, "limit": limit}
    return database.rows(_SQL["document_chunks"], wanted)
