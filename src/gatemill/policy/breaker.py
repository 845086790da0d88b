"""When a target that fails is left alone, and when it is asked again.

Rule: exactly one probe at a time, and a result that is older than the last change changes nothing.
"""

from __future__ import annotations

from collections import deque

from msgspec import Struct

CLOSED, HALF_OPEN, OPEN = 0, 1, 2
IGNORED = -1  # the generation of an attempt whose result never counts
SLOTS = 10  # of the window
RAMP_FROM = 0.1  # share of its weight with which a recovered target begins
PROBING_S = 1.0  # what to tell those who come while a probe is under way


class BreakerSettings(Struct, frozen=True):
    """Opens at `failures` within `window_s`, or at `failure_share` of at least `attempts_min`."""

    window_s: float = 30.0
    failure_share: float = 0.5
    attempts_min: int = 10
    failures: int | None = None  # None: only the share decides
    open_s: float = 10.0  # doubles with each failed probe
    open_max_s: float = 300.0
    ramp_s: float = 10.0


class Breaker:
    """The state of one target. Written by its lane; all times are monotonic seconds.

    An attempt remembers the generation that `begin` gave it and brings it back with its result.
    """

    __slots__ = (
        "_attempts",
        "_closed_s",
        "_due_s",
        "_failed_probes",
        "_failures",
        "_recent",
        "_settings",
        "_slot",
        "_slot_s",
        "attempts",
        "failures",
        "generation",
        "state",
    )

    def __init__(self, settings: BreakerSettings) -> None:
        self.state = CLOSED
        self.generation = 0  # grows with each change of state
        self._closed_s = float("-inf")  # when it closed last
        self._due_s = 0.0  # when a probe may begin; read while open
        self._failed_probes = 0  # since it opened
        self.configure(settings)

    def configure(self, settings: BreakerSettings) -> None:
        """These settings count from now on, with an empty window; the state stays."""
        self._settings = settings
        self._slot_s = settings.window_s / SLOTS
        self._empty()

    def is_ready(self, now_s: float) -> bool:
        """An attempt may begin."""
        return self.state == CLOSED or (self.state == OPEN and now_s >= self._due_s)

    def begin(self, now_s: float) -> int | None:
        """The generation of an attempt that begins now; it is the probe unless the state was closed.

        None when no attempt may begin.
        """
        if self.state == OPEN and now_s >= self._due_s:
            self._change(HALF_OPEN)
            return self.generation
        return self.generation if self.state == CLOSED else None

    def success(self, generation: int, now_s: float) -> bool:
        """Counts a good attempt. True when it was the probe and the breaker has closed."""
        if generation != self.generation:
            return False
        if self.state == HALF_OPEN:
            self._change(CLOSED)
            self._closed_s = now_s
            self._failed_probes = 0
            self._empty()
            return True
        self._count(now_s, 0)
        return False

    def failure(self, generation: int, now_s: float) -> bool:
        """Counts a failed attempt. True when the breaker has opened."""
        if generation != self.generation:
            return False
        if self.state == HALF_OPEN:
            self._failed_probes += 1
        else:
            self._count(now_s, 1)
            if not self._is_too_much(now_s):
                return False
        self._change(OPEN)
        self._due_s = now_s + self.open_s
        return True

    def neutral(self, generation: int) -> None:
        """The attempt says nothing of the target; if it was the probe, another may begin at once."""
        if generation == self.generation and self.state == HALF_OPEN:
            self._change(OPEN)

    @property
    def open_s(self) -> float:
        """How long it stays open this time, in seconds."""
        settings = self._settings
        # The exponent is bounded, so that the power stays a float.
        longer_s = settings.open_s * 2.0 ** min(self._failed_probes, 64)
        return min(longer_s, max(settings.open_s, settings.open_max_s))

    def opens_s(self, now_s: float) -> float:
        """Seconds until an attempt may begin; 0 when it may."""
        if self.state == CLOSED:
            return 0.0
        return PROBING_S if self.state == HALF_OPEN else max(0.0, self._due_s - now_s)

    def share(self, now_s: float) -> float:
        """Part of its weight, 0 to 1. All of it when a probe is due, because only one will go."""
        if self.state != CLOSED:
            return 1.0 if self.is_ready(now_s) else 0.0
        closed_for_s, ramp_s = now_s - self._closed_s, self._settings.ramp_s
        if closed_for_s >= ramp_s:
            return 1.0
        return RAMP_FROM + (1.0 - RAMP_FROM) * closed_for_s / ramp_s

    # --- Inside ----------------------------------------------------------------------------------

    def _change(self, state: int) -> None:
        self.state = state
        self.generation += 1

    def _empty(self) -> None:
        self.attempts = self.failures = 0  # in the window
        self._attempts = [0] * SLOTS
        self._failures = [0] * SLOTS
        self._slot = 0
        # The times of the last failures: "3 in 60 s" is exact, only the share is counted in slots.
        self._recent: deque[float] = deque(maxlen=self._settings.failures or 0)

    def _count(self, now_s: float, failures: int) -> None:
        slot = int(now_s / self._slot_s)
        if slot > self._slot:
            for passed in range(max(self._slot + 1, slot - SLOTS + 1), slot + 1):
                self.attempts -= self._attempts[passed % SLOTS]
                self.failures -= self._failures[passed % SLOTS]
                self._attempts[passed % SLOTS] = self._failures[passed % SLOTS] = 0
            self._slot = slot
        self.attempts += 1
        self._attempts[slot % SLOTS] += 1
        if failures:
            self.failures += 1
            self._failures[slot % SLOTS] += 1
            self._recent.append(now_s)

    def _is_too_much(self, now_s: float) -> bool:
        settings, recent = self._settings, self._recent
        if recent and len(recent) == recent.maxlen and now_s - recent[0] <= settings.window_s:
            return True
        return (
            self.attempts >= settings.attempts_min
            and self.failures >= settings.failure_share * self.attempts
        )
