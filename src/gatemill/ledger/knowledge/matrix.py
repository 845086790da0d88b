"""Vectors in memory, for databases that cannot search them. Rule: one thread, bounded bytes, exact.

A store's vectors are loaded when it is first searched, and again when its revision has changed. What
was searched longest ago goes first. A store that does not fit is read anew for each search, block by
block, which is slow and never wrong.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.ledger import queries

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from gatemill.ledger.database import Database
    from gatemill.ledger.knowledge.engines import Found, Scope

BLOCK_ROWS = 2_000  # read at a time
_OWN_BYTES = 24  # of a vector, besides its numbers
_SQL = queries.load("knowledge")


class Counters(Struct):
    """Live counters, for metrics. Written in the thread, read anywhere."""

    hits: int = 0
    loads: int = 0
    evictions: int = 0
    scans: int = 0  # of stores that do not fit
    bytes: int = 0


class _Block(Struct, frozen=True):
    numbers: np.ndarray  # [chunks] int64
    documents: np.ndarray  # [chunks] int64
    vectors: np.ndarray  # [chunks, dimensions] float32, each of length 1


class _Kept(Struct, frozen=True):
    revision: int
    generation: int
    block: _Block
    bytes: int


class Matrices:
    """The vectors of the stores searched last. Belongs to one thread."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max  # written by whoever reads the options
        self.counters = Counters()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # by store, the latest last

    def search(
        self, database: Database, scope: Scope, revision: int, vector: bytes, k: int
    ) -> Found:
        """The `k` nearest vectors of a store as it was at `revision`, or later."""
        import numpy as np

        asked = np.frombuffer(vector, "<f4")
        best: Found = []
        for block in self._blocks(database, scope, revision):
            best = _best([*best, *_nearest(block, asked, scope.allowed, k)], k)
        return best

    def forget(self, store_id: str) -> None:
        """The store is gone."""
        kept = self._kept.pop(store_id, None)
        if kept is not None:
            self.counters.bytes -= kept.bytes

    def _blocks(self, database: Database, scope: Scope, revision: int) -> Iterator[_Block]:
        kept = self._kept.get(scope.store_id)
        if kept is not None and (kept.revision, kept.generation) == (revision, scope.generation):
            self._kept.move_to_end(scope.store_id)
            self.counters.hits += 1
            yield kept.block
            return
        self.forget(scope.store_id)
        params = {"store_id": scope.store_id, "generation": scope.generation}
        count = int(database.rows(_SQL["count_vectors"], params)[0]["vectors"])
        size = count * (4 * scope.dimensions + _OWN_BYTES)
        if size > self.bytes_max:
            self.counters.scans += 1
            yield from _read(database, scope)
            return
        block = _joined(list(_read(database, scope)), scope.dimensions)
        self._keep(scope, _Kept(revision, scope.generation, block, size))
        yield block

    def _keep(self, scope: Scope, kept: _Kept) -> None:
        while self._kept and self.counters.bytes + kept.bytes > self.bytes_max:
            self.forget(next(iter(self._kept)))
            self.counters.evictions += 1
        self._kept[scope.store_id] = kept
        self.counters.bytes += kept.bytes
        self.counters.loads += 1


def _read(database: Database, scope: Scope) -> Iterator[_Block]:
    import numpy as np

    wanted = {
        "store_id": scope.store_id,
        "owner": scope.owner,
        "generation": scope.generation,
        "limit": BLOCK_ROWS,
    }
    above = 0
    while rows := database.rows(_SQL["read_vectors"], {**wanted, "above": above}):
        above = rows[-1]["number"]
        whole = np.frombuffer(b"".join(row["vector"] for row in rows), "<f4")
        yield _Block(
            np.array([row["number"] for row in rows], np.int64),
            np.array([row["document"] for row in rows], np.int64),
            whole.reshape(len(rows), scope.dimensions),
        )
        if len(rows) < BLOCK_ROWS:
            return


def _joined(blocks: list[_Block], dimensions: int) -> _Block:
    import numpy as np

    if not blocks:
        nothing = np.zeros(0, np.int64)
        return _Block(nothing, nothing, np.zeros((0, dimensions), np.float32))
    return _Block(
        np.concatenate([block.numbers for block in blocks]),
        np.concatenate([block.documents for block in blocks]),
        np.concatenate([block.vectors for block in blocks]),
    )


def _nearest(block: _Block, asked: np.ndarray, allowed: tuple[int, ...] | None, k: int) -> Found:
    import numpy as np

    cosines = block.vectors @ asked  # [chunks] float32
    numbers = block.numbers
    if allowed is not None:
        meant = np.isin(block.documents, np.array(allowed, np.int64))
        cosines, numbers = cosines[meant], numbers[meant]
    if len(cosines) > k:
        some = np.argpartition(-cosines, k)[:k]
        cosines, numbers = cosines[some], numbers[some]
    found = zip(numbers.tolist(), cosines.tolist(), strict=True)
    return _best(list(found), k)


def _best(found: Found, k: int) -> Found:
    return sorted(found, key=lambda one: (-one[1], one[0]))[:k]
