"""What finding words and vectors needs of one kind of database. Rule: one Protocol, two modules.

`sqlite_engine.py` and `postgres_engine.py` satisfy it; the same tests hold for both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.ledger.database import Database

Found = list[tuple[int, float]]  # numbers of chunks and their scores, the best first


class Scope(Struct, frozen=True):
    """Where a search may look."""

    store_id: str
    owner: str
    generation: int
    dimensions: int
    chunks: int  # in the store, about
    allowed: tuple[int, ...] | None = None  # numbers of documents; None: all of the store


class VectorRow(Struct, frozen=True):
    """The vector of a chunk, about to be written."""

    number: int
    generation: int
    store_id: str
    document: int
    dimensions: int
    vector: bytes  # little-endian 32-bit floats, of length 1


class Engine(Protocol):
    """Everything runs in the ledger's threads; `prepare` and what adds or drops in the one that writes."""

    searches_vectors: bool
    """It finds vectors by itself; else the process has to, in memory."""

    def prepare(self, database: Database) -> None:
        """What it searches in is there and complete. No transaction is under way."""
        ...

    def add_words(self, database: Database, rows: Sequence[tuple[int, str, str]]) -> None:
        """The words of new chunks: number, text, id of the store."""
        ...

    def drop_words(self, database: Database, document: int, limit: int) -> None:
        """The words of the first chunks of a document, which are about to be deleted, are gone."""
        ...

    def forget_some(self, database: Database, *, begins: bool) -> bool:
        """The index holds fewer words of chunks that are gone; False: it holds none.

        `begins`: the first of several calls.
        """
        ...

    def add_vectors(self, database: Database, rows: Sequence[VectorRow]) -> None:
        """These vectors are there; one that was stays as it is."""
        ...

    def expect(self, database: Database, dimensions: int) -> None:
        """Vectors of this length are about to come. No transaction is under way."""
        ...

    def settle(self, database: Database, chunks: int) -> None:
        """So many chunks were added. No transaction is under way."""
        ...

    def chunks(
        self, database: Database, scope: Scope, numbers: Sequence[int]
    ) -> list[dict[str, Any]]:
        """Chunks that can be found, with their documents, by their numbers."""
        ...

    def vectors(
        self, database: Database, scope: Scope, numbers: Sequence[int]
    ) -> list[dict[str, Any]]:
        """Vectors of chunks by their numbers."""
        ...

    def keyword(self, database: Database, scope: Scope, words: Sequence[str], k: int) -> Found:
        """Chunks that have any of the words."""
        ...

    def dense(self, database: Database, scope: Scope, vector: bytes, k: int) -> Found:
        """Chunks whose vectors are nearest; only where it `searches_vectors`."""
        ...
