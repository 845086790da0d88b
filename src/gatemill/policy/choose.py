"""Which target first. Rule: the same seed, weights and loads give the same order."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


def unit(name: str) -> float:
    """A number in [0, 1) that `name` always gets, evenly spread."""
    # 53 bits: more would round up to 1 now and then.
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)


def ordered(items: Sequence[T], weights: Sequence[float], at: float) -> list[T]:
    """`items` drawn one after the other by weight, all of them decided by `at` (0 <= at < 1).

    Weights need not sum to 1; items of weight 0 stand last, in their order. A larger weight never
    takes the first place away from its item.
    """
    left, bounds = list(items), list(weights)
    drawn: list[T] = []
    while left and (total := sum(bounds)) > 0:
        at *= total
        index = last = 0
        for index, weight in enumerate(bounds):
            if weight > 0:
                last = index
            if at < weight:
                break
            at -= weight
        else:
            index = last  # what rounding leaves over
        # Where the point lies within its item is as evenly spread as the point itself was.
        at = min(at / bounds.pop(index), 1.0)
        drawn.append(left.pop(index))
    return drawn + left


def soonest(drawn: Sequence[T], loads: Sequence[float]) -> list[T]:
    """The less loaded of the first two, then the others by load: the power of two choices.

    Two at random and not the best of all, so that many processes which see the same numbers do not
    all run to the same place. `loads` stand as `drawn` does.
    """
    by_load = sorted(range(len(drawn)), key=loads.__getitem__)
    first = min(range(min(2, len(drawn))), key=loads.__getitem__, default=0)
    order = [first, *(index for index in by_load if index != first)]
    return [drawn[index] for index in order[: len(drawn)]]
