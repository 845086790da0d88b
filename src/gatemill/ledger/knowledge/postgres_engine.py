"""Words by tsvector; vectors by pgvector, or in this process where the server has none.

Rule: what is searched in is made from the tables beside it, and can be made anew.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from gatemill.core.errors import LedgerUnavailable
from gatemill.ledger import queries
from gatemill.ledger.knowledge.engines import VectorRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.ledger.database import Database
    from gatemill.ledger.knowledge.engines import Found, Scope

HNSW_DIMENSIONS_MAX = 2_000  # longer vectors are compared one by one
BRING_ROWS = 200  # vectors that pgvector is given in one transaction, where it came later
LOOK_CHUNKS, LOOK_SHARE = 500, 0.5  # added, after which the database looks at its tables
_SQL = queries.load("knowledge_postgres")
_log = structlog.get_logger()
_ADD_VECTOR = queries.load("knowledge")["add_vector"]


class Engine:
    """Satisfies engines.Engine."""

    def __init__(self) -> None:
        self.searches_vectors = False  # written by `prepare`
        self._expected: set[int] = set()  # lengths that have an index
        self._added = 0  # chunks since the database looked at its tables
        self._known = 0  # chunks added by this process before

    def prepare(self, database: Database) -> None:
        """Columns and indexes are there; pgvector is used where it can be."""
        if not database.rows(_SQL["has_words"]):
            database.run(_SQL["make_words"])
        database.run(_SQL["index_words"])
        if not self._has_vector(database):
            return
        database.run(_SQL["make_near"])
        database.run(_SQL["index_far"])
        while far := database.rows(_SQL["far_vectors"], {"limit": BRING_ROWS}):
            with database.transaction():
                for row in far:
                    database.run(_SQL["bring_near"], {**row, "near": literal(bytes(row["vector"]))})
        self.searches_vectors = True

    def _has_vector(self, database: Database) -> bool:
        if database.rows(_SQL["has_near"]):
            return True
        if not database.rows(_SQL["offers_vector"]):
            return False
        try:
            database.run(_SQL["make_vector"])
        except LedgerUnavailable:
            _log.warning(
                "pgvector_unused",
                remedy="Let a superuser run CREATE EXTENSION vector in this database.",
            )
            return False
        return True

    def add_words(self, database: Database, rows: Sequence[tuple[int, str, str]]) -> None:
        """The database sees to it."""

    def drop_words(self, database: Database, document: int, limit: int) -> None:
        """The database sees to it."""

    def forget_some(self, database: Database, *, begins: bool) -> bool:
        """The database sees to it."""
        return False

    def add_vectors(self, database: Database, rows: Sequence[VectorRow]) -> None:
        """These vectors are there."""
        if not self.searches_vectors:
            database.run_many(_ADD_VECTOR, [msgspec.structs.astuple(row) for row in rows])
            return
        columns: dict[str, Any] = {
            name: [getattr(row, name) for row in rows] for name in VectorRow.__struct_fields__
        }
        database.run(_SQL["add_near"], {**columns, "near": [literal(row.vector) for row in rows]})

    def expect(self, database: Database, dimensions: int) -> None:
        """Vectors of this length have an index."""
        if not self.searches_vectors or dimensions in self._expected:
            return
        if dimensions <= HNSW_DIMENSIONS_MAX:
            database.run(_of(dimensions, "index_near"))
        self._expected.add(dimensions)

    def settle(self, database: Database, chunks: int) -> None:
        """The database knows its tables again after many additions; by itself it looks once a minute.

        A plan made for an empty table takes 600 ms for 10,000 vectors instead of 3 (2026-11-21).
        """
        self._added += chunks
        if self._added >= max(LOOK_CHUNKS, self._known * LOOK_SHARE):
            database.run(_SQL["look_around"])
            self._known, self._added = self._known + self._added, 0

    def chunks(
        self, database: Database, scope: Scope, numbers: Sequence[int]
    ) -> list[dict[str, Any]]:
        """Chunks with their documents."""
        return database.rows(_SQL["read_chunks"], _by_numbers(scope, numbers))

    def vectors(
        self, database: Database, scope: Scope, numbers: Sequence[int]
    ) -> list[dict[str, Any]]:
        """Vectors of chunks."""
        return database.rows(_SQL["read_vectors_of"], _by_numbers(scope, numbers))

    def keyword(self, database: Database, scope: Scope, words: Sequence[str], k: int) -> Found:
        """Chunks by how often they have the words, and how rare these are in the store."""
        params = {
            "words": list(words),
            "store_id": scope.store_id,
            "owner": scope.owner,
            "allowed": None if scope.allowed is None else list(scope.allowed),
            "chunks": float(max(1, scope.chunks)),
            "k": k,
        }
        return [(row["number"], row["score"]) for row in database.rows(_SQL["keyword"], params)]

    def dense(self, database: Database, scope: Scope, vector: bytes, k: int) -> Found:
        """Chunks by cosine."""
        database.rows(_SQL["search_widely"])
        params = {
            "near": literal(vector),
            "store_id": scope.store_id,
            "owner": scope.owner,
            "generation": scope.generation,
            "allowed": None if scope.allowed is None else list(scope.allowed),
            "k": k,
        }
        found = database.rows(_of(scope.dimensions, "dense"), params)
        return [(row["number"], row["score"]) for row in found]


def _by_numbers(scope: Scope, numbers: Sequence[int]) -> dict[str, Any]:
    return {
        "numbers": list(numbers),
        "store_id": scope.store_id,
        "owner": scope.owner,
        "generation": scope.generation,
    }


def literal(vector: bytes) -> str:
    """A vector as pgvector writes it: no client library is needed."""
    return f"[{','.join(map(repr, array('f', vector)))}]"


def _of(dimensions: int, name: str) -> queries.Query:
    return queries.literal(name, _SQL[name].text.format(dimensions=dimensions))
