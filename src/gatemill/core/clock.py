"""Time as an argument. Rule: only the real clock reads the system's."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the house knows of time."""

    def monotonic_s(self) -> float:
        """Seconds that only go forward; durations and deadlines."""
        ...

    def unix_s(self) -> float:
        """Seconds since 1970 in UTC; what is written to disk."""
        ...


class SystemClock:
    """The machine's clock."""

    monotonic_s = staticmethod(time.monotonic)
    unix_s = staticmethod(time.time)


class FakeClock:
    """A clock that a test moves by hand."""

    def __init__(self, unix_s: float = 1_700_000_000.0) -> None:
        self._now_s = 0.0
        self._epoch_s = unix_s

    def monotonic_s(self) -> float:
        """Seconds moved so far."""
        return self._now_s

    def unix_s(self) -> float:
        """The start plus the seconds moved so far."""
        return self._epoch_s + self._now_s

    def advance(self, seconds: float) -> None:
        """Move forward."""
        self._now_s += seconds

    def set(self, seconds: float) -> None:
        """The wall clock is set by so much, as by a time server; what lasts does not notice."""
        self._epoch_s += seconds
