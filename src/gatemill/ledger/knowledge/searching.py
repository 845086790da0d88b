"""Finding passages. Rule: what a store holds is asked for by its id and its owner, in every query."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.core.errors import InvalidValue
from gatemill.ledger import queries
from gatemill.ledger.knowledge.engines import Scope
from gatemill.ledger.knowledge.numbers import packed
from gatemill.ledger.knowledge.rows import Chunk, Hit
from gatemill.ledger.knowledge.words import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from gatemill.ledger.database import Database
    from gatemill.ledger.knowledge.engines import Engine, Found
    from gatemill.ledger.knowledge.filters import Filter
    from gatemill.ledger.knowledge.matrix import Matrices
    from gatemill.ledger.knowledge.rows import Store

FOUND_MAX = 1_000  # chunks of one search
KNOWN_STORES = 16  # whose attributes are kept for the next filter
KNOWN_DOCUMENTS = 20_000  # of one of them; those of a larger store are read each time
_PREFIX = "chunk_"
_SQL = queries.load("knowledge")

Attributed = list[tuple[int, dict[str, Any]]]  # numbers of documents and their attributes


class Attributes:
    """What filters ask of documents. Belongs to one thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[int, Attributed]] = OrderedDict()

    def allowed(
        self, database: Database, store: Store, where: Filter | None
    ) -> tuple[int, ...] | None:
        """Numbers of the documents that a filter means; None without one."""
        if where is None:
            return None
        known = self._known(database, store)
        return tuple(number for number, attributes in known if where.holds(attributes))

    def _known(self, database: Database, store: Store) -> Attributed:
        kept = self._kept.get(store.id)
        if kept is not None and kept[0] == store.revision:
            self._kept.move_to_end(store.id)
            return kept[1]
        rows = database.rows(_SQL["document_attributes"], {"id": store.id})
        known = [(row["number"], msgspec.json.decode(row["attributes"])) for row in rows]
        if len(known) <= KNOWN_DOCUMENTS:
            self._kept[store.id] = store.revision, known
            self._kept.move_to_end(store.id)
            if len(self._kept) > KNOWN_STORES:
                self._kept.popitem(last=False)
        return known


class Asked(Struct, frozen=True):
    """One search."""

    store: Store
    where: Filter | None
    k: int


class Search:
    """What one thread that searches has. Its database is the thread's, too."""

    def __init__(self, engine: Engine, matrices: Matrices) -> None:
        """`matrices` are used by `dense` alone."""
        self._engine = engine
        self._matrices = matrices
        self._attributes = Attributes()

    def keyword(self, database: Database, asked: Asked, query: str) -> list[Hit]:
        """Chunks that have any of the words."""
        wanted = words(query)
        if not wanted:
            return []
        scope = self._scope(database, asked)
        return _hits(self._engine.keyword(database, scope, wanted, _bounded(asked.k)))

    def dense(self, database: Database, asked: Asked, vector: Sequence[float]) -> list[Hit]:
        """Chunks whose vectors are nearest. Raises InvalidValue."""
        store = asked.store
        if not store.embedder.dimensions:
            return []
        if len(vector) != store.embedder.dimensions:
            raise InvalidValue(
                f"The query has a vector of {len(vector)} numbers, those of this store have"
                f" {store.embedder.dimensions}. Ask with the embedding model of the store,"
                f" {store.embedder.model}, or embed the store anew with the job documents.reembed.",
                param="embedding_model",
            )
        scope, k, wanted = self._scope(database, asked), _bounded(asked.k), packed(vector)
        if self._engine.searches_vectors:
            found = self._engine.dense(database, scope, wanted, k)
        else:
            found = self._matrices.search(database, scope, store.revision, wanted, k)
        return _hits(found)

    def get(self, database: Database, store: Store, chunk_ids: Sequence[str]) -> dict[str, Chunk]:
        """Chunks by their ids; those that are gone are left out."""
        found: dict[str, Chunk] = {}
        for row in self._engine.chunks(database, _within(store), _numbers(chunk_ids)):
            chunk_id = _id(row["number"])
            found[chunk_id] = Chunk(
                id=chunk_id,
                document_id=row["id"],
                title=row["title"],
                attributes=msgspec.json.decode(row["attributes"]),
                ordinal=row["ordinal"],
                start=row["start_at"],
                end=row["end_at"],
                text=row["text"],
            )
        return found

    def vectors(
        self, database: Database, store: Store, chunk_ids: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Vectors of chunks by their ids; those that have none are left out."""
        import numpy as np

        found = self._engine.vectors(database, _within(store), _numbers(chunk_ids))
        return {_id(row["number"]): np.frombuffer(bytes(row["vector"]), "<f4") for row in found}

    def _scope(self, database: Database, asked: Asked) -> Scope:
        allowed = self._attributes.allowed(database, asked.store, asked.where)
        return _within(asked.store, allowed)


def _within(store: Store, allowed: tuple[int, ...] | None = None) -> Scope:
    return Scope(
        store.id, store.owner, store.generation, store.embedder.dimensions, store.chunks, allowed
    )


def _hits(found: Found) -> list[Hit]:
    return [Hit(_id(number), float(score)) for number, score in found if not math.isnan(score)]


def _bounded(k: int) -> int:
    return max(1, min(k, FOUND_MAX))


def _id(number: int) -> str:
    return f"{_PREFIX}{number}"


def _numbers(chunk_ids: Sequence[str]) -> list[int]:
    digits = [one.removeprefix(_PREFIX) for one in chunk_ids[:FOUND_MAX]]
    return [int(one) for one in digits if one.isascii() and one.isdigit() and len(one) < 10]
