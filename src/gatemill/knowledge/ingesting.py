"""Documents into a store: text, passages, vectors.

Rule: a document is found when all of it is there, never before. Reading it in can be interrupted
anywhere: what was stored stays, and the rest is done by whoever goes on.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gatemill.core.errors import ContentBlocked, InvalidValue, NotFound
from gatemill.knowledge import chunking
from gatemill.knowledge.asking import vectors_of
from gatemill.knowledge.extracting.limits import INVALID, SERVER, UnreadableError
from gatemill.ledger.knowledge.filling import Elsewhere, Outdated, Passage
from gatemill.ledger.knowledge.numbers import packed
from gatemill.ledger.knowledge.rows import HYBRID

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatemill.knowledge.asking import Asker
    from gatemill.knowledge.chunking import Span
    from gatemill.knowledge.extracting.reading import Reading
    from gatemill.ledger.knowledge.knowledge import Knowledge
    from gatemill.ledger.knowledge.rows import Document, Store
    from gatemill.ledger.ledger import Ledger

GROUP_PASSAGES = 64  # embedded in one request and stored in one transaction
GROUP_BYTES = 100_000  # of their text; one passage is always taken
TRIES = 3  # while the embedder of the store is being replaced


class Terms(Struct, frozen=True):
    """How much a store takes; see docs/settings.md, section knowledge."""

    embedding_model: str
    stores_max: int
    bytes_max_per_owner: int
    documents_max: int
    chunks_max: int
    document_chunks_max: int
    inline_bytes: int


class Ingesting:
    """One for the house."""

    def __init__(
        self,
        ledger: Ledger,
        reading: Reading,
        terms: Terms,
        window: Callable[[str], int | None],
        now: Callable[[], float],
    ) -> None:
        """`window` tells how many tokens an embedding model reads; `now` is monotonic."""
        self.terms = terms
        self.reading = reading
        self._ledger = ledger
        self._knowledge: Knowledge = ledger.knowledge
        self._window = window
        self._now = now

    async def file_text(self, file_id: str, owner: str) -> str:
        """The text of a file of this owner. Raises NotFound, UnreadableError."""
        file = await self._ledger.files.get(file_id, owner)
        if file.bytes > self.reading.limits.file_bytes:
            raise UnreadableError(
                INVALID,
                f"It has {file.bytes} bytes, at most {self.reading.limits.file_bytes} are read"
                " (knowledge.file_bytes). Split it.",
            )
        data = bytearray()
        async with aclosing(self._ledger.files.content(file_id)) as pieces:
            async for piece in pieces:
                data += piece
        return await self.reading.text(bytes(data), file.filename)

    async def read_in(
        self,
        asker: Asker,
        store: Store,
        document: Document,
        text: str | None,
        told: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> bool:
        """The document is complete, or has failed and says why; False: it was cancelled or deleted.

        `text` None is that of the file. `told` hears how many passages of how many are stored.
        Raises GatemillError for what is not the document's fault; then the call may be repeated.
        """
        began_s = self._now()
        try:
            if text is None:
                text = await self._own_text(document, store.owner)
            going = await self._fill(asker, store, document, text, told)
        except UnreadableError as error:
            return await self._knowledge.fail(document, error.code, error.message)
        self._knowledge.counters.ingest_seconds += self._now() - began_s
        return going

    async def _own_text(self, document: Document, owner: str) -> str:
        try:
            return await self.file_text(document.id, owner)
        except NotFound:
            raise UnreadableError(INVALID, "The file is gone. Upload it again.") from None

    async def _fill(
        self,
        asker: Asker,
        store: Store,
        document: Document,
        text: str,
        told: Callable[[int, int], None],
    ) -> bool:
        try:
            text = await asker.storable(text)
        except ContentBlocked as error:
            raise UnreadableError(INVALID, error.message) from None
        spans = await self._spans(store, document, text)
        for _ in range(TRIES):
            try:
                return await self._store(asker, store, document, (text, spans), told)
            except Outdated:
                store = await self._knowledge.store(store.id, store.owner)
                await self._knowledge.empty(document)
                document = msgspec.structs.replace(document, chunks=0)
        raise UnreadableError(SERVER, "The store's embedder changed again and again. Add it anew.")

    async def _spans(self, store: Store, document: Document, text: str) -> list[Span]:
        """Raises UnreadableError."""
        terms = self.terms
        if not text.strip():
            raise UnreadableError(INVALID, "There is no text in it.")
        strategy = self.strategy(store, document)
        try:
            most = terms.document_chunks_max
            spans = await asyncio.to_thread(chunking.chunks, text, strategy, most)
        except chunking.TooManyError:
            raise UnreadableError(
                INVALID,
                f"It has more than {terms.document_chunks_max} passages"
                " (knowledge.document_chunks_max). Split it, or make its passages longer.",
            ) from None
        if store.chunks + len(spans) > terms.chunks_max:
            raise UnreadableError(
                INVALID,
                f"The store would have more than {terms.chunks_max} passages"
                " (knowledge.chunks_max). Make another one.",
            )
        return spans

    def strategy(self, store: Store, document: Document) -> chunking.Strategy:
        """How the document is cut."""
        said = msgspec.json.decode(document.chunking)
        if said.get("type") == "static":
            sizes = said["static"]
            return chunking.Strategy(sizes["max_chunk_size_tokens"], sizes["chunk_overlap_tokens"])
        model = store.embedding_model
        return chunking.automatic(self._window(model) if model else None)

    async def _store(
        self,
        asker: Asker,
        store: Store,
        document: Document,
        cut: tuple[str, Sequence[Span]],
        told: Callable[[int, int], None],
    ) -> bool:
        text, spans = cut
        done = document.chunks
        while done < len(spans):
            group = _group(text, spans[done : done + GROUP_PASSAGES])
            passages = await self._embedded(asker, store, group)
            so_far = msgspec.structs.replace(document, chunks=done)
            try:
                if not await self._knowledge.add(so_far, store, passages):
                    return False
                done += len(passages)
            except Elsewhere as other:
                done = other.chunks
            except InvalidValue as error:  # its vectors do not fit the store's
                raise UnreadableError(SERVER, error.message) from None
            told(done, len(spans))
        return await self._knowledge.complete(document, store)

    async def _embedded(
        self, asker: Asker, store: Store, group: Sequence[Passage]
    ) -> list[Passage]:
        if store.mode != HYBRID:
            return list(group)
        texts = [passage.text for passage in group]
        vectors = await vectors_of(asker, store.embedding_model, texts)
        return [
            msgspec.structs.replace(passage, vector=packed(vector))
            for passage, vector in zip(group, vectors, strict=True)
        ]


def _group(text: str, spans: Sequence[Span]) -> list[Passage]:
    """The next passages that are embedded and stored together; `spans` are the next GROUP_PASSAGES."""
    group: list[Passage] = []
    size = 0
    for span in spans:
        passage = Passage(span.start, span.end, text[span.start : span.end])
        size += len(passage.text.encode("utf-8", "replace"))
        if group and size > GROUP_BYTES:
            break
        group.append(passage)
    return group
