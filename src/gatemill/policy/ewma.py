"""A mean that believes bad news at once and good news slowly.

Rule: it fades when nothing is heard, so that a target with one bad moment is tried again.
Source: peak EWMA of Twitter's Finagle.
"""

from __future__ import annotations

from math import exp

DECAY_S = 10.0


class PeakEwma:
    """Seconds until the first byte of one target. Written by its lane."""

    __slots__ = ("_at_s", "_value_s")

    def __init__(self) -> None:
        self._value_s = 0.0
        self._at_s = 0.0  # of the last sample

    def observe(self, sample_s: float, now_s: float) -> None:
        """Takes in one sample."""
        value_s = self._value_s
        if sample_s < value_s:
            weight = exp((self._at_s - now_s) / DECAY_S)
            sample_s += (value_s - sample_s) * weight
        self._value_s = sample_s
        self._at_s = now_s

    def value_s(self, now_s: float) -> float:
        """The mean now; 0 when nothing was ever heard."""
        return self._value_s * exp((self._at_s - now_s) / DECAY_S)
