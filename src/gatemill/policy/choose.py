"""Which target first. Rule: the same call id and configuration give the same answer."""

from __future__ import annotations

import hashlib
from typing import TypeVar

T = TypeVar("T")


def unit(name: str) -> float:
    """A number in [0, 1) that `name` always gets, evenly spread."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big") / (1 << 56)


def ordered(items: tuple[T, ...], weights: tuple[float, ...], at: float) -> tuple[T, ...]:
    """`items` with the one that `at` (0 <= at < 1) falls on first, the others in their order.

    Weights are positive and need not sum to 1.
    """
    left = at * sum(weights)
    first = len(items) - 1
    for index, weight in enumerate(weights):
        left -= weight
        if left < 0:
            first = index
            break
    return (items[first], *items[:first], *items[first + 1 :])
