"""How many requests a target takes at once, learned from its signs of overload.

Rule: additive increase, multiplicative decrease; never below 1 nor above the configured maximum.
"""

from __future__ import annotations

CUT = 0.7
CUT_EVERY_S = 1.0  # one overload is seen by many requests, and cuts once


class Concurrency:
    """The limit of one target. Written by its lane, read by whoever wants to begin."""

    __slots__ = ("_cut_s", "_most", "_successes", "limit")

    def __init__(self, most: int) -> None:
        self._most = self.limit = most
        self._successes = 0  # since the limit changed
        self._cut_s = float("-inf")  # when it was cut last

    def configure(self, most: int) -> None:
        """A new maximum; a limit that was cut stays, if it fits."""
        self.limit = most if self.limit == self._most else min(self.limit, most)
        self._most = most

    def success(self) -> None:
        """A request was answered: one more at once after as many as the limit."""
        if self.limit == self._most:
            return
        self._successes += 1
        if self._successes >= self.limit:
            self.limit += 1
            self._successes = 0

    def overload(self, now_s: float) -> None:
        """The target shows that it is too much."""
        if now_s - self._cut_s < CUT_EVERY_S:
            return
        self._cut_s = now_s
        self._successes = 0
        self.limit = max(1, int(self.limit * CUT))
