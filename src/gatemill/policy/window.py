"""How much happened in the last 60 seconds, counted so that no 60 seconds ever hold too much.

Rule: a slot of two seconds counts until all of it is older than 60 seconds, so what is forgotten
is 60 to 62 seconds old, never less. Slots are numbered from 1970: every process agrees on them.
"""

from __future__ import annotations

import math

SPAN_S = 60.0
SLOT_S = 2.0
RING = 31  # slots that can count at once: the present one, and those up to 60 seconds before it


class Window:
    """One sliding count. Slots must not go back; the owner starts a new window if the clock did."""

    __slots__ = ("_head", "_ring", "from_s", "until_s", "used")

    def __init__(self, slot: int) -> None:
        self._ring = [0] * RING  # by slot number modulo its length; only this class writes
        self._head = slot  # the present slot
        self.used = 0  # the sum of the ring: right from `from_s` until `until_s`, Unix time
        self.from_s = slot * SLOT_S
        self.until_s = self.from_s + SLOT_S

    def turn(self, slot: int) -> None:
        """`slot` is the present one, and what is too old for it is forgotten."""
        ring, head = self._ring, self._head
        assert slot >= head
        for old in range(head + 1, min(slot, head + RING) + 1):
            self.used -= ring[old % RING]
            ring[old % RING] = 0
        self._head = slot
        self.from_s = slot * SLOT_S
        self.until_s = self.from_s + SLOT_S

    def take(self, amount: int) -> int:
        """What the window holds with `amount` more, in the present slot. Looks at no bound."""
        self._ring[self._head % RING] += amount
        self.used += amount
        return self.used

    def settle(self, slot: int, held: int, actual: int) -> None:
        """What was taken as `held` in `slot` was `actual`; nothing happens once it is too old."""
        if self._head - slot < RING:
            self._ring[slot % RING] += actual - held
            self.used += actual - held

    def move(self, slot: int, amount: int) -> bool:
        """What was taken in `slot` now counts in the present one; False when it was too old."""
        if self._head - slot >= RING:
            return False
        self._ring[slot % RING] -= amount
        self._ring[self._head % RING] += amount
        return True

    def used_at(self, slot: int) -> int:
        """What the window will hold in `slot`, the present one or a later one, if nothing comes."""
        gone = range(self._head + 1, min(slot, self._head + RING) + 1)
        return self.used - sum(self._ring[old % RING] for old in gone)

    def wait_s(self, amount: int, most: int, now_s: float) -> float:
        """Seconds until `amount` more fits below `most` if nothing else comes; infinite if never."""
        if amount > most:
            return math.inf
        excess = self.used + amount - most
        slot = self._head - RING
        while excess > 0:
            slot += 1
            excess -= self._ring[slot % RING]
        return max(0.0, (slot + RING) * SLOT_S - now_s)

    def is_idle(self, now_s: float) -> bool:
        """Nothing that was counted counts any more: a new window would be the same."""
        return now_s >= self.until_s + SPAN_S
