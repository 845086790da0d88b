"""The passages that answer a question best.

Rule: a model that fails does not take the search with it: what it would have added is left out, and the
answer says so. What the caller may not do is refused as anywhere else.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gatemill.core.errors import (
    BudgetSpent,
    ClientGone,
    Draining,
    GatemillError,
    InvalidApiKey,
    InvalidValue,
    LimitsUnavailable,
    MissingParameter,
    ModelNotFound,
    PermissionDenied,
    PriceUnknown,
    RateLimited,
    UnsupportedOperation,
)
from gatemill.knowledge import ranking
from gatemill.knowledge.asking import reranked, vectors_of
from gatemill.ledger.knowledge.rows import HYBRID, KEYWORD

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatemill.knowledge.asking import Asker
    from gatemill.knowledge.store import Searchable
    from gatemill.ledger.knowledge.filters import Filter
    from gatemill.ledger.knowledge.rows import Chunk, Hit, Store

DENSE = "dense"
MODES = ("auto", KEYWORD, HYBRID, DENSE)
RERANKS = ("none", "mmr", "model")
# Vectors of words as they are spelt: next to BM25 they add nothing but noise (0.657 -> 0.31 R@1).
LEXICAL = frozenset(("builtin/hash-512",))
# These are for the caller to hear, not to be worked around.
_REFUSALS = (
    BudgetSpent,
    ClientGone,
    Draining,
    InvalidApiKey,
    LimitsUnavailable,
    PermissionDenied,
    PriceUnknown,
    RateLimited,
)


class Rerank(Struct, frozen=True):
    """How the candidates are put into another order."""

    method: str = "none"  # one of RERANKS
    model: str = ""  # of method "model"
    min_score: float | None = None  # passages below are left out


class Wanted(Struct, frozen=True):
    """A search."""

    queries: tuple[str, ...]  # at least one; what any of them finds counts
    count: int  # passages at most
    mode: str = "auto"  # one of MODES
    candidates: int = 30  # passages of each order that are fused, and then reranked
    rerank: Rerank = Rerank()
    where: Filter | None = None  # of attributes


class Passage(Struct, frozen=True):
    """One passage that was found."""

    chunk_id: str
    document_id: str  # what OpenAI calls file_id
    title: str  # the document's name
    attributes: dict[str, Any]  # of the document
    start: int  # characters of the document's text, from
    end: int  # and up to, exclusively
    text: str
    score: float  # 0 to 1; see docs/guides/answers-from-documents.md
    keyword_rank: int | None  # its place among the results by words, from 1; None: not there
    dense_rank: int | None  # the same by vector
    rerank_score: float | None  # what the rerank model said


class Found(Struct, frozen=True):
    """What a search came to."""

    passages: list[Passage]  # best first
    mode: str  # how it was searched: "keyword", "hybrid" or "dense"
    degraded: tuple[str, ...]  # what failed and was left out: "embedder: CODE", "reranker: CODE"
    retrieve_ms: float
    rerank_ms: float


class Search:
    """All searches of one house."""

    def __init__(self, chunks: Searchable, now: Callable[[], float]) -> None:
        """`now` is monotonic seconds."""
        self.degraded: dict[tuple[str, ...], int] = {}  # "embedder" or "reranker" -> times
        self.chunks = chunks
        self.now = now

    async def run(self, store: Store, wanted: Wanted, asker: Asker) -> Found:
        """The passages. Raises InvalidValue, MissingParameter, and what refuses the caller."""
        mode = mode_of(store, wanted.mode, asker.labels(store.embedding_model))
        check_rerank(store, wanted.rerank)
        one = _One(self, store, wanted, (mode, asker))
        if mode != KEYWORD or wanted.rerank.method == "model":
            return await one.found()
        async with asker.admitted():
            return await one.found()

    def count(self, part: str) -> None:
        """A search goes on without this part of it."""
        self.degraded[part,] = self.degraded.get((part,), 0) + 1


def mode_of(store: Store, asked: str, embedders: Sequence[str] = ()) -> str:
    """How a store is searched: "keyword", "hybrid" or "dense". Raises InvalidValue.

    `embedders` is where the name of its embedder leads.
    """
    is_lexical = not LEXICAL.isdisjoint((store.embedding_model, *embedders))
    if asked == "auto":
        return KEYWORD if is_lexical or not store.embedding_model else store.mode
    if asked == KEYWORD:
        return asked
    if not store.embedding_model:
        raise InvalidValue(
            "`mode`: this store has no vectors. Search it by keyword, or make one with an"
            " embedding_model.",
            param="mode",
        )
    if asked == HYBRID and is_lexical:
        raise InvalidValue(
            "`mode`: the embedder of this store knows spelling, not meaning; fused with words it does"
            " harm. Use keyword.",
            param="mode",
        )
    return asked


def check_rerank(store: Store, rerank: Rerank) -> None:
    """This store can be reranked so. Raises InvalidValue and MissingParameter."""
    if rerank.method == "model" and not rerank.model:
        raise MissingParameter(
            "`rerank.model`: is required for the method model. GET /v1/models lists the names.",
            param="rerank.model",
        )
    if rerank.method == "mmr" and not store.embedding_model:
        raise InvalidValue(
            "`rerank.method`: mmr compares vectors, and this store has none. Use none or model.",
            param="rerank.method",
        )


class _One:
    """One search. Used once."""

    def __init__(
        self, search: Search, store: Store, wanted: Wanted, how: tuple[str, Asker]
    ) -> None:
        self._search = search
        self._store = store
        self._wanted = wanted
        self._mode, self._asker = how
        self._depth = max(wanted.candidates, wanted.count)
        # What has been learned of each chunk, by its id.
        self._keyword: dict[str, int] = {}
        self._dense: dict[str, int] = {}
        self._said: dict[str, float] = {}  # by the rerank model
        self._chunks: dict[str, Chunk] = {}
        self._degraded: list[str] = []

    async def found(self) -> Found:
        now, wanted = self._search.now, self._wanted
        began_s = now()
        ranked = await self._ranked()
        if wanted.rerank.method == "none":
            ranked = ranked[: wanted.count]
        self._chunks = await self._search.chunks.get(self._store, [one for one, _ in ranked])
        ranked = [(one, score) for one, score in ranked if one in self._chunks]
        retrieved_s = now()
        if wanted.rerank.method == "mmr":
            ranked = await self._diverse(ranked)
        elif wanted.rerank.method == "model" and ranked:
            ranked = await self._reranked(ranked)
        least = wanted.rerank.min_score
        kept = [pair for pair in ranked[: wanted.count] if least is None or pair[1] >= least]
        return Found(
            passages=[self._passage(one, score) for one, score in kept],
            mode=self._mode,
            degraded=tuple(self._degraded),
            retrieve_ms=(retrieved_s - began_s) * 1e3,
            rerank_ms=(now() - retrieved_s) * 1e3,
        )

    async def _ranked(self) -> list[tuple[str, float]]:
        """The candidates with their scores, best first."""
        try:
            async with asyncio.TaskGroup() as group:
                by_words = group.create_task(self._by_words())
                by_vector = group.create_task(self._by_vector())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        words, vectors = by_words.result(), by_vector.result()
        _note(self._keyword, words)
        _note(self._dense, [[hit.chunk_id for hit in hits] for hits in vectors])
        if self._mode == DENSE:
            best: dict[str, float] = {}
            for hit in (hit for hits in vectors for hit in hits):
                best[hit.chunk_id] = max(best.get(hit.chunk_id, 0.0), hit.score)
            ranked = sorted(best.items(), key=lambda item: -item[1])
        else:
            ranked = ranking.fused(words + [[hit.chunk_id for hit in hits] for hits in vectors])
        return ranked[: self._depth]

    async def _by_words(self) -> list[list[str]]:
        """One order for each query."""
        if self._mode == DENSE:
            return []
        chunks, wanted = self._search.chunks, self._wanted
        found = [
            await chunks.keyword(self._store, each, wanted.where, self._depth)
            for each in wanted.queries
        ]
        return [[hit.chunk_id for hit in hits] for hits in found]

    async def _by_vector(self) -> list[list[Hit]]:
        """One order for each query; none where the embedder fails and words are there, too."""
        if self._mode == KEYWORD:
            return []
        chunks, wanted, store = self._search.chunks, self._wanted, self._store
        try:
            vectors = await vectors_of(self._asker, store.embedding_model, wanted.queries)
        except GatemillError as error:
            if self._mode == DENSE:
                raise
            self._go_on_without("embedder", error)
            self._mode = KEYWORD
            return []
        return [await chunks.dense(store, each, wanted.where, self._depth) for each in vectors]

    async def _diverse(self, ranked: list[tuple[str, float]]) -> list[tuple[str, float]]:
        scores = dict(ranked)
        vectors = await self._search.chunks.vectors(self._store, list(scores))
        chosen = ranking.diverse(list(scores), scores, vectors, self._wanted.count)
        return [(one, scores[one]) for one in chosen]

    async def _reranked(self, ranked: list[tuple[str, float]]) -> list[tuple[str, float]]:
        ids = [one for one, _ in ranked]
        texts = [self._chunks[one].text for one in ids]
        model, asked = self._wanted.rerank.model, "\n".join(self._wanted.queries)
        try:
            found = await reranked(self._asker, model, asked, texts, self._wanted.count)
        except (ModelNotFound, UnsupportedOperation) as error:
            error.param = "rerank.model"  # the caller named it
            raise
        except GatemillError as error:
            self._go_on_without("reranker", error)
            return ranked
        self._said = {ids[place]: score for place, score in found}
        return list(zip(self._said, ranking.shares(list(self._said.values())), strict=True))

    def _go_on_without(self, part: str, error: GatemillError) -> None:
        """Raises what is for the caller to hear."""
        if isinstance(error, _REFUSALS):
            raise error
        self._degraded.append(f"{part}: {error.code}")
        self._search.count(part)

    def _passage(self, chunk_id: str, score: float) -> Passage:
        chunk = self._chunks[chunk_id]
        return Passage(
            chunk_id=chunk_id,
            document_id=chunk.document_id,
            title=chunk.title,
            attributes=chunk.attributes,
            start=chunk.start,
            end=chunk.end,
            text=chunk.text,
            score=min(1.0, max(0.0, score)),
            keyword_rank=self._keyword.get(chunk_id),
            dense_rank=self._dense.get(chunk_id),
            rerank_score=self._said.get(chunk_id),
        )


def _note(places: dict[str, int], orders: Sequence[Sequence[str]]) -> None:
    """The best place of each id in any of the orders, from 1."""
    for order in orders:
        for place, one in enumerate(order, 1):
            places[one] = min(place, places.get(one, place))
