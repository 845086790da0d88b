"""Words by FTS5; vectors in this process. Rule: the index of words can be made anew from the chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gatemill.ledger import queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.ledger.database import Database
    from gatemill.ledger.knowledge.engines import Found, Scope, VectorRow

_SQL = queries.load("knowledge_sqlite")
_ADD_VECTOR = queries.load("knowledge")["add_vector"]

MERGE_PAGES = 64  # of one transaction: about 10 ms


class Engine:
    """Satisfies engines.Engine."""

    searches_vectors = False

    def prepare(self, database: Database) -> None:
        """The index of words is there; a database that was imported gets it now."""
        if database.rows(_SQL["has_words"]):
            return
        with database.transaction():
            if not database.rows(_SQL["has_words"]):  # no other process was faster
                database.run(_SQL["make_words"])
                database.run(_SQL["rank_words"])
                database.run(_SQL["fill_words"])

    def add_words(self, database: Database, rows: Sequence[tuple[int, str, str]]) -> None:
        """The words of new chunks are there."""
        scoped = [(number, text, scope_word(store_id)) for number, text, store_id in rows]
        database.run_many(_SQL["add_words"], scoped)

    def drop_words(self, database: Database, document: int, limit: int) -> None:
        """The words of the first chunks of a document are gone."""
        database.run(_SQL["drop_words"], {"document": document, "limit": limit})

    def forget_some(self, database: Database, *, begins: bool) -> bool:
        """Some pages of the index are merged; False: they are one tree, which has no dead words."""
        if not database.rows(_SQL["has_words"]):
            return False
        database.run(_SQL["merge_words"], {"pages": -MERGE_PAGES if begins else MERGE_PAGES})
        return int(database.rows(_SQL["count_trees"])[0]["trees"]) > 1

    def add_vectors(self, database: Database, rows: Sequence[VectorRow]) -> None:
        """These vectors are there."""
        database.run_many(_ADD_VECTOR, [msgspec.structs.astuple(row) for row in rows])

    def expect(self, database: Database, dimensions: int) -> None:
        """Vectors of any length may come."""

    def settle(self, database: Database, chunks: int) -> None:
        """Nothing is to be done."""

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
        """Chunks by BM25."""
        quoted = " OR ".join(f'"{word}"' for word in words)  # a word has letters and digits only
        params = {
            "match": f'scope : "{scope_word(scope.store_id)}" AND text : ({quoted})',
            "store_id": scope.store_id,
            "owner": scope.owner,
            "allowed": None if scope.allowed is None else _listed(scope.allowed),
            "k": k,
        }
        return [(row["number"], row["score"]) for row in database.rows(_SQL["keyword"], params)]

    def dense(self, database: Database, scope: Scope, vector: bytes, k: int) -> Found:
        """Nothing: it does not search vectors."""
        return []


def _by_numbers(scope: Scope, numbers: Sequence[int]) -> dict[str, Any]:
    return {
        "numbers": _listed(numbers),
        "store_id": scope.store_id,
        "owner": scope.owner,
        "generation": scope.generation,
    }


def _listed(numbers: Sequence[int]) -> str:
    return msgspec.json.encode(numbers).decode()


def scope_word(store_id: str) -> str:
    """A store's id as one word; sql/knowledge_sqlite.sql makes it in the same way."""
    return store_id.replace("_", "")
