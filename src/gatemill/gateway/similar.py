"""Prompts that mean the same: embeddings of last user texts, and the answers that they led to.

Rule: vectors are compared within one scope only, and a scope is a digest of the tenant, the model and
everything in the request but that text. Bounded: SCOPES_MAX scopes, ENTRIES_MAX vectors in each.
"""

from __future__ import annotations

import math
from array import array
from collections import OrderedDict, deque
from operator import mul
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

SCOPES_MAX = 64
ENTRIES_MAX = 256
# Multiplications that may be made for one prompt: about 2 ms of the loop (Python 3.11). Where a scope
# has more, the signs of the vectors choose whom to compare with: they agree where directions do.
PRODUCTS_MAX = 1 << 15


class Near(Struct, frozen=True):
    """What was found."""

    digest: bytes  # of the answer's request
    score: float  # cosine similarity


class _Entry(Struct):
    vector: array[float]  # of length 1
    signs: int  # one bit for each dimension
    digest: bytes
    ends_s: float


class Similar:
    """The vectors of all scopes; the scope that was not asked for longest goes first."""

    def __init__(self) -> None:
        self._scopes: OrderedDict[bytes, deque[_Entry]] = OrderedDict()
        self.evicted = 0  # scopes that gave way

    def find(
        self, scope: bytes, vector: Sequence[float], least: float, now_s: float
    ) -> Near | None:
        """The answer to the most similar text, when its similarity is at least `least`."""
        entries = self._scopes.get(scope)
        unit = _unit(vector)
        if entries is None or unit is None:
            return None
        self._scopes.move_to_end(scope)
        alike = [e for e in entries if e.ends_s > now_s and len(e.vector) == len(unit)]
        best: Near | None = None
        for entry in _shortlist(alike, unit):
            score = sum(map(mul, entry.vector, unit))
            if score >= least and (best is None or score > best.score):
                best = Near(entry.digest, score)
        return best

    def add(self, scope: bytes, vector: Sequence[float], digest: bytes, ends_s: float) -> None:
        """The answer `digest` can be found until `ends_s`, or until ENTRIES_MAX others came."""
        unit = _unit(vector)
        if unit is None:
            return
        entries = self._scopes.get(scope)
        if entries is None:
            if len(self._scopes) >= SCOPES_MAX:
                self._scopes.popitem(last=False)
                self.evicted += 1
            entries = self._scopes[scope] = deque(maxlen=ENTRIES_MAX)
        self._scopes.move_to_end(scope)
        entries.append(_Entry(unit, _signs(unit), digest, ends_s))


def _shortlist(entries: list[_Entry], unit: array[float]) -> list[_Entry]:
    most = max(1, PRODUCTS_MAX // len(unit))
    if len(entries) <= most:
        return entries
    signs = _signs(unit)
    return sorted(entries, key=lambda entry: (entry.signs ^ signs).bit_count())[:most]


def _unit(vector: Sequence[float]) -> array[float] | None:
    """The vector with length 1; None for one that points nowhere."""
    length = math.sqrt(sum(x * x for x in vector))
    if not 0 < length < math.inf:
        return None
    return array("f", [x / length for x in vector])


def _signs(vector: array[float]) -> int:
    return int("".join(["1" if x > 0 else "0" for x in vector]), 2)
