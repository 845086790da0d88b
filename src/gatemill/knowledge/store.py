"""What retrieval needs of where documents are kept.

Rule: `ledger.knowledge` satisfies it on SQLite and on Postgres. A Store in hand was read for its owner;
every query names both again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from gatemill.ledger.knowledge.filters import Filter
    from gatemill.ledger.knowledge.rows import Chunk, Document, Hit, Store


class Searchable(Protocol):
    """Where chunks are found. Everything raises LedgerUnavailable and Overloaded."""

    async def find(self, name_or_id: str, owner: str) -> Store:
        """A store of this owner by its id, else the oldest one of this name. Raises NotFound."""
        ...

    async def keyword(self, store: Store, query: str, where: Filter | None, k: int) -> list[Hit]:
        """At most `k` chunks that have any word of `query`, the best first.

        The words are quoted: nothing in a query is syntax. Very common English words are left out
        when others remain. A query without words finds nothing.
        """
        ...

    async def dense(
        self, store: Store, vector: Sequence[float], where: Filter | None, k: int
    ) -> list[Hit]:
        """At most `k` chunks by the cosine with `vector`, the best first.

        Raises InvalidValue when it has other dimensions than the store's vectors.
        """
        ...

    async def get(self, store: Store, chunk_ids: Sequence[str]) -> dict[str, Chunk]:
        """The chunks of the store by id; those that are gone are left out."""
        ...

    async def vectors(self, store: Store, chunk_ids: Sequence[str]) -> dict[str, np.ndarray]:
        """[dimensions] float32 of length 1, by id; those that have none are left out."""
        ...

    async def documents(
        self, store: Store, limit: int, after: str = "", status: str = ""
    ) -> list[Document]:
        """Documents by the time they were added, the oldest first, after the id `after`."""
        ...

    async def document_text(self, store: Store, document_id: str) -> str:
        """The text of a document, put together from its chunks. Raises NotFound."""
        ...

    async def touch(self, store: Store) -> None:
        """The store was used now: its expiry begins anew. Costs a write once a minute at most."""
        ...
