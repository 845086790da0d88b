"""Bytes as a network may bring them."""

from __future__ import annotations

from itertools import pairwise


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces that end at these places, each taken modulo the length."""
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(marks)]
