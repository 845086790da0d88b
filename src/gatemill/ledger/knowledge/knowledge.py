"""Stores and what is in them, as the house sees them: make, fill, search, delete.

Rule: nothing blocks the event loop. What is searched in is prepared by the first who needs it; words
and vectors have a thread and a connection each, so that one search asks for both at once.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from gatemill.core.errors import LedgerUnavailable
from gatemill.ledger import queries
from gatemill.ledger.knowledge import (
    documents,
    filling,
    postgres_engine,
    sqlite_engine,
    stores,
)
from gatemill.ledger.knowledge.filling import Reembedding
from gatemill.ledger.knowledge.matrix import Matrices
from gatemill.ledger.knowledge.rows import FAILED
from gatemill.ledger.knowledge.searching import Asked, Search
from gatemill.ledger.knowledge.stores import TOUCH_S, Page
from gatemill.ledger.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from gatemill.core.clock import Clock
    from gatemill.ledger.database import Database
    from gatemill.ledger.knowledge.documents import Batch, Filling, NewDocument
    from gatemill.ledger.knowledge.engines import Engine
    from gatemill.ledger.knowledge.filling import Bare, Passage
    from gatemill.ledger.knowledge.filters import Filter
    from gatemill.ledger.knowledge.rows import Chunk, Document, Embedder, Hit, Store
    from gatemill.ledger.knowledge.stores import Change, NewStore
    from gatemill.ledger.place import Place
    from gatemill.ledger.writer import Writer

T = TypeVar("T")

VECTORS_BYTES = 256 << 20  # in memory, unless the options say otherwise
SEARCHES_MAX = 200  # that may wait for one thread
PREPARE_TRIES = 3  # another process may prepare the same at the same moment
TEXT_CHUNKS = 200  # read at a time
_SQL = queries.load("knowledge")
_SUM = _SQL["sum_all"]
_OWNED = _SQL["sum_owner"]


class Counters(Struct):
    """Live counters, for metrics."""

    documents: int = 0  # read in
    documents_failed: int = 0
    chunks: int = 0
    ingest_seconds: float = 0.0  # written by who reads documents in


class Knowledge:
    """The attribute `knowledge` of an open ledger. Satisfies knowledge.store.Searchable.

    Everything raises LedgerUnavailable and Overloaded.
    """

    def __init__(self, writer: Writer, reader: Reader, place: Place, clock: Clock) -> None:
        self.counters = Counters()
        self.matrices = Matrices(VECTORS_BYTES)  # its maximum is written by the house
        self._submit = writer.submit
        self._reader = reader
        self._clock = clock
        self._engine = _engine(place)
        self._prepared = False
        self._unsettled = 0  # chunks added that the engine has not heard of
        self._preparing = asyncio.Lock()
        self._words = Reader(place, SEARCHES_MAX)
        self._near = Reader(place, SEARCHES_MAX)
        self._word_search = Search(self._engine, self.matrices)
        self._near_search = Search(self._engine, self.matrices)

    async def close(self) -> None:
        """The threads have ended."""
        await self._words.close()
        await self._near.close()

    # --- Stores ----------------------------------------------------------------------------------

    async def create(self, new: NewStore, stores_max: int) -> Store:
        """A new store. Raises RateLimited when the owner has `stores_max`."""
        now_s = self._clock.unix_s()
        return await self._write(lambda db: stores.create(db, new, stores_max, now_s))

    async def store(self, store_id: str, owner: str) -> Store:
        """A store of this owner with its sums. Raises NotFound."""
        return await self._reader.run(
            lambda db: stores.summed(db, stores.read(db, store_id, owner))
        )

    async def find(self, name_or_id: str, owner: str) -> Store:
        """A store by its id, else the oldest of this name, with its sums. Raises NotFound."""
        return await self._words.run(
            lambda db: stores.summed(db, stores.find(db, name_or_id, owner))
        )

    async def listed(self, owner: str, page: Page) -> list[Store]:
        """Stores of this owner with their sums."""
        return await self._reader.run(lambda db: stores.listed(db, owner, page))

    async def change(self, store_id: str, owner: str, said: Change) -> Store:
        """The store as it is now. Raises NotFound."""
        now_s = self._clock.unix_s()
        return await self._write(lambda db: stores.change(db, store_id, owner, said, now_s))

    async def delete(self, store_id: str, owner: str) -> None:
        """The store is gone; what it holds is deleted within minutes. Raises NotFound."""
        await self._write(lambda db: stores.hide(db, store_id, owner))

    async def touch(self, store: Store) -> None:
        """The store was used now; written once a minute at most."""
        now_s = self._clock.unix_s()
        if store.active_at < now_s - TOUCH_S:
            await self._write(lambda db: stores.touch(db, store, now_s))

    # --- Documents -------------------------------------------------------------------------------

    async def begin(self, store: Store, new: Sequence[NewDocument], why: Filling) -> list[Document]:
        """Documents that are being read in, with the job that does it; older ones of the same ids go.

        Raises NotFound.
        """
        now_s = self._clock.unix_s()
        return await self._write(lambda db: documents.begin(db, store, new, why, now_s))

    async def document(self, store: Store, document_id: str) -> Document:
        """A document of a store. Raises NotFound."""
        return await self._reader.run(lambda db: documents.read(db, store, document_id))

    async def page(
        self, store: Store, page: Page, status: str = "", batch_id: str = ""
    ) -> list[Document]:
        """Documents of a store; "" is any status, or any batch."""
        return await self._reader.run(
            lambda db: documents.listed(db, store, page, status, batch_id)
        )

    async def documents(
        self, store: Store, limit: int, after: str = "", status: str = ""
    ) -> list[Document]:
        """Documents by the time they were added, the oldest first, after the id `after`."""
        return await self.page(store, Page(limit, after, oldest_first=True), status)

    async def of_job(self, store: Store, job_id: str, limit: int) -> list[Document]:
        """Documents that a job reads in, whatever became of them."""
        return await self._reader.run(lambda db: documents.of_job(db, store, job_id, limit))

    async def document_text(self, store: Store, document_id: str) -> str:
        """The text of a document, put together from its chunks. Raises NotFound."""

        def text(database: Database) -> str:
            document = documents.read(database, store, document_id)
            return filling.text_of(database, document, TEXT_CHUNKS)

        return await self._reader.run(text)

    async def set_attributes(self, store: Store, document_id: str, attributes: str) -> Document:
        """The document as it is now. Raises NotFound."""
        now_s = self._clock.unix_s()
        return await self._write(
            lambda db: documents.set_attributes(db, store, document_id, attributes, now_s)
        )

    async def detach(self, store: Store, document_id: str) -> None:
        """The document is gone from the store. Raises NotFound."""
        now_s = self._clock.unix_s()
        found = await self._write(lambda db: documents.hide(db, store, document_id, now_s))
        await self._clear(found.number)

    async def forget_file(self, file_id: str, owner: str) -> None:
        """A file that was deleted is in no store of its owner any more."""
        now_s = self._clock.unix_s()
        await self._write(lambda db: documents.forget_file(db, file_id, owner, now_s))

    async def batch(self, store: Store, batch_id: str) -> Batch:
        """Files that were added together. Raises NotFound."""
        return await self._reader.run(lambda db: documents.batch(db, store, batch_id))

    async def cancel_batch(self, store: Store, batch_id: str) -> Batch:
        """No more of its files are read in. Raises NotFound."""
        now_s = self._clock.unix_s()
        return await self._write(lambda db: documents.cancel_batch(db, store, batch_id, now_s))

    # --- Filling ---------------------------------------------------------------------------------

    async def add(self, document: Document, store: Store, passages: Sequence[Passage]) -> bool:
        """The passages stand behind `document.chunks` others; False: the document takes no more.

        Raises Outdated, Elsewhere, NotFound, and InvalidValue for vectors of another length.
        """
        await self._ready()
        if passages and passages[0].vector:
            await self._expect(len(passages[0].vector) // 4)
        now_s, engine = self._clock.unix_s(), self._engine
        added = await self._write(
            lambda db: filling.add(db, engine, document, store, passages, now_s)
        )
        self.counters.chunks += added * len(passages)
        self._unsettled += added * len(passages)
        return added

    async def complete(self, document: Document, store: Store) -> bool:
        """The document can be found; as `add`."""
        now_s = self._clock.unix_s()
        completed = await self._write(lambda db: filling.complete(db, document, store, now_s))
        self.counters.documents += completed
        added, self._unsettled = self._unsettled, 0
        await self._alone(lambda db: self._engine.settle(db, added))
        return completed

    async def fail(self, document: Document, code: str, message: str) -> bool:
        """The document cannot be read in, in OpenAI's words; False: it is not being read in any more."""
        now_s, number = self._clock.unix_s(), document.number
        ended = await self._write(
            lambda db: documents.end(db, number, FAILED, code, message, now_s)
        )
        if ended:
            self.counters.documents_failed += 1
            await self.empty(document)
        return ended

    async def empty(self, document: Document) -> None:
        """Nothing of a document is stored any more: it is read in anew, or cannot be."""
        await self._ready()
        now_s, engine = self._clock.unix_s(), self._engine
        while await self._write(lambda db: filling.empty_some(db, engine, document, now_s)):
            pass

    # --- Another embedder ------------------------------------------------------------------------

    async def without_vector(
        self, store: Store, generation: int, above: int, limit: int
    ) -> list[Bare]:
        """Passages that have no vector of this generation, above a number."""
        return await self._reader.run(
            lambda db: filling.without_vector(db, store, generation, above, limit)
        )

    async def reembed(self, store: Store, job_id: str) -> Reembedding:
        """What lets this job alone write vectors of another embedder; those of an earlier job are gone.

        Raises Outdated, NotFound.
        """
        if await self._write(lambda db: filling.claim(db, store, job_id)):
            # Those left behind, too: a job may have been killed when it had switched.
            for generation in (store.generation - 1, store.generation + 1):
                await self._drop_vectors(store, generation)
        return Reembedding(store, job_id)

    async def add_vectors(self, work: Reembedding, rows: Sequence[tuple[Bare, bytes]]) -> None:
        """Vectors that no search uses yet. Raises Outdated, NotFound."""
        await self._ready()
        await self._expect(len(rows[0][1]) // 4)
        engine = self._engine
        await self._write(lambda db: filling.add_vectors(db, engine, work, rows))

    async def switch(self, work: Reembedding, embedder: Embedder) -> bool:
        """Searches use the next generation; False: it lacks vectors of what came meanwhile.

        Raises Outdated, NotFound.
        """
        if not await self._write(lambda db: filling.switch(db, work, embedder)):
            return False
        await self._drop_vectors(work.store, work.store.generation)
        return True

    async def _drop_vectors(self, store: Store, generation: int) -> None:
        while await self._write(lambda db: filling.drop_generation(db, store, generation)):
            pass

    # --- Searching -------------------------------------------------------------------------------

    async def keyword(self, store: Store, query: str, where: Filter | None, k: int) -> list[Hit]:
        """Chunks that have any word of `query`, the best first."""
        await self._ready()
        asked = Asked(store, where, k)
        return await self._words.run(lambda db: self._word_search.keyword(db, asked, query))

    async def dense(
        self, store: Store, vector: Sequence[float], where: Filter | None, k: int
    ) -> list[Hit]:
        """Chunks by the cosine with `vector`, the best first. Raises InvalidValue."""
        await self._ready()
        asked = Asked(store, where, k)
        return await self._near.run(lambda db: self._near_search.dense(db, asked, vector))

    async def get(self, store: Store, chunk_ids: Sequence[str]) -> dict[str, Chunk]:
        """Chunks by their ids; those that are gone are left out."""
        return await self._words.run(lambda db: self._word_search.get(db, store, chunk_ids))

    async def vectors(self, store: Store, chunk_ids: Sequence[str]) -> dict[str, np.ndarray]:
        """[dimensions] float32 by id; those that have none are left out."""
        return await self._near.run(lambda db: self._near_search.vectors(db, store, chunk_ids))

    async def owned_bytes(self, owner: str) -> int:
        """Bytes of text and vectors in all stores of an owner."""
        found = await self._reader.run(lambda db: db.rows(_OWNED, {"owner": owner}))
        return int(found[0]["bytes"])

    async def size(self) -> tuple[int, int]:
        """Documents and chunks of everybody, for metrics."""
        row = (await self._reader.run(lambda db: db.rows(_SUM)))[0]
        return row["documents"], row["chunks"]

    # --- Housekeeping ----------------------------------------------------------------------------

    async def retain(self) -> int:
        """The number of stores and documents that were deleted, or ended because nobody reads them in."""
        now_s = self._clock.unix_s()

        def sweep(database: Database) -> tuple[list[str], list[int], int]:
            stores.hide_expired(database, now_s)
            ended = documents.end_orphans(database, now_s)
            return stores.clear_gone(database), documents.gone_numbers(database), ended

        swept, numbers, ended = await self._write(sweep)
        for number in numbers:
            await self._clear(number)
        return len(swept) + len(numbers) + ended

    async def forget_words(self) -> None:
        """The index of words holds none of what was deleted."""
        engine, begins = self._engine, True
        while await self._write(partial(engine.forget_some, begins=begins)):
            begins = False

    async def _clear(self, number: int) -> None:
        await self._ready()
        engine = self._engine
        while await self._write(lambda db: documents.drop_some(db, engine, number)):
            pass
        await self._write(lambda db: documents.drop(db, number))

    # --- Threads ---------------------------------------------------------------------------------

    async def _ready(self) -> None:
        """What is searched in is there."""
        if self._prepared:
            return
        async with self._preparing:
            for number in range(PREPARE_TRIES):
                if self._prepared:
                    return
                try:
                    await self._alone(self._engine.prepare)
                except LedgerUnavailable:
                    if number == PREPARE_TRIES - 1:
                        raise
                else:
                    self._prepared = True

    async def _expect(self, dimensions: int) -> None:
        await self._alone(lambda db: self._engine.expect(db, dimensions))

    async def _alone(self, work: Callable[[Database], T]) -> T:
        return await asyncio.wrap_future(self._submit(work))

    async def _write(self, work: Callable[[Database], T]) -> T:
        def run(database: Database) -> T:
            with database.transaction():
                return work(database)

        return await self._alone(run)


def _engine(place: Place) -> Engine:
    return sqlite_engine.Engine() if place.path is not None else postgres_engine.Engine()
