"""Orders of passages: several made one, near-doubles thinned out. Rule: pure; scores are from 0 to 1.

Orders are fused by place, never by score: BM25, Postgres' ranks and cosines do not share a scale.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

RRF_K = 60  # Cormack, Clarke, Büttcher (SIGIR 2009): large enough that one first place is not all
MMR_BALANCE = 0.7  # how much nearness to the question counts against nearness to what is chosen


def fused(orders: Sequence[Sequence[str]], k: int = RRF_K) -> list[tuple[str, float]]:
    """Ids by reciprocal rank fusion, best first, with their scores.

    1 is the first place in every order; an id that stands in none of the others gets that share
    alone. Equal scores keep the order in which the ids were met. `orders` name an id once each.
    """
    sums: dict[str, float] = {}
    for order in orders:
        for place, one in enumerate(order, 1):
            sums[one] = sums.get(one, 0.0) + (k + 1) / (k + place)
    whole = len(orders) or 1
    ranked = sorted(sums.items(), key=lambda item: -item[1])
    return [(one, total / whole) for one, total in ranked]


def diverse(
    ids: Sequence[str],
    scores: Mapping[str, float],
    vectors: Mapping[str, np.ndarray],  # [dimensions] float32, of length 1
    count: int,
    balance: float = MMR_BALANCE,
) -> list[str]:
    """At most `count` of the ids by maximal marginal relevance, the best first.

    Each next one is the best of `balance` times its score less the rest times its cosine with the
    nearest one already chosen. An id without a vector is near to nothing. Source: Carbonell and
    Goldstein (SIGIR 1998).
    """
    import numpy as np

    if not ids:
        return []
    dimensions = len(next(iter(vectors.values()))) if vectors else 1
    nothing = np.zeros(dimensions, dtype=np.float32)
    rows = np.stack([vectors.get(one, nothing) for one in ids])  # [ids, dimensions]
    worth = np.array([scores.get(one, 0.0) for one in ids], dtype=np.float32) * balance
    nearest = np.zeros(len(ids), dtype=np.float32)  # cosine with the nearest chosen one
    left = np.ones(len(ids), dtype=bool)
    chosen: list[str] = []
    for _ in range(min(count, len(ids))):
        gain = np.where(left, worth - (1 - balance) * nearest, -np.inf)
        best = int(gain.argmax())
        left[best] = False
        chosen.append(ids[best])
        nearest = np.maximum(nearest, rows @ rows[best])
    return chosen


def shares(scores: Sequence[float]) -> list[float]:
    """Scores of a model, from 0 to 1: as they are, or, where any lies outside, by the logistic curve."""
    if all(0.0 <= score <= 1.0 for score in scores):
        return list(scores)
    return [0.5 * (1.0 + math.tanh(score / 2)) for score in scores]
