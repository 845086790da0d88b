"""Stage 2: may this request start now? Rule: whoever enters leaves exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.errors import Draining, Overloaded

if TYPE_CHECKING:
    from gatemill.observe.metrics import Meter


class Gate:
    """The number of requests under way, and its maximum."""

    __slots__ = ("_in_flight_max", "_meter", "draining")

    def __init__(self, in_flight_max: int, meter: Meter) -> None:
        self._in_flight_max = in_flight_max
        self._meter = meter
        self.draining = False  # set by the server on SIGTERM

    def enter(self) -> None:
        """One more request is under way. Raises Overloaded or Draining."""
        if self.draining:
            raise Draining(
                "This server is shutting down. Retry: another one answers.", retry_after_s=1
            )
        if self._meter.in_flight >= self._in_flight_max:
            raise Overloaded("Too many requests are in flight here. Retry later.", retry_after_s=1)
        self._meter.in_flight += 1

    def leave(self) -> None:
        """A request is over."""
        self._meter.in_flight -= 1
