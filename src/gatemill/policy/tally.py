"""Counts that go up and down: requests under way, and requests of a calendar day.

Rule: no clock and no bound of its own; whoever takes has looked.
"""

from __future__ import annotations


class Tally:
    """One count, right from `from_s` until `until_s` (Unix time)."""

    __slots__ = ("before", "from_s", "until_s", "used")

    def __init__(self, from_s: float, until_s: float) -> None:
        self.used = 0
        self.from_s = from_s
        self.until_s = until_s
        self.before: Tally | None = None  # the day before, for requests that arrived then

    def take(self, amount: int) -> int:
        """The count with `amount` more."""
        self.used += amount
        return self.used

    def is_idle(self, now_s: float) -> bool:
        """A new tally would be the same."""
        return self.used == 0 or self.until_s <= now_s
