"""How many repeats a target bears.

Rule: repeats never exceed `floor` plus `share` of the first attempts, so a provider that is down
gets at most (1 + share) times the requests, plus `floor`.
"""

from __future__ import annotations

_UNIT = 1_000_000  # one repeat; whole numbers, so that the bound is not lost to rounding
SAVED_MAX = 100  # repeats that can be saved up


class RetryBudget:
    """The balance of one target. Written by its lane."""

    __slots__ = ("_balance", "_deposit", "_most")

    def __init__(self, share: float, floor: int) -> None:
        self._balance = floor * _UNIT
        self.configure(share, floor)

    def configure(self, share: float, floor: int) -> None:
        """These numbers count from now on; what is saved stays, as far as it may."""
        self._deposit = int(share * _UNIT)
        self._most = max(floor, SAVED_MAX) * _UNIT
        self._balance = min(self._balance, self._most)

    def deposit(self) -> None:
        """A request tries this target for the first time."""
        self._balance = min(self._most, self._balance + self._deposit)

    def withdraw(self) -> bool:
        """Whether a repeat may be made; it is then paid."""
        if self._balance < _UNIT:
            return False
        self._balance -= _UNIT
        return True
