"""Equal requests under way: one asks, the others wait for what it gets.

Rule: whoever leads and fails hands over to exactly one of those who wait, the most patient; what the
body itself is to blame for is told to all. Nobody waits beyond their own deadline.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from gatemill.core.errors import DeadlineExceeded, InvalidRequest, PriceUnknown

if TYPE_CHECKING:
    from collections.abc import Hashable

    from gatemill.core.errors import GatemillError
    from gatemill.gateway.recording import Listener, Recording


class Kept(Struct, frozen=True, array_like=True):
    """One answer, as a store has it."""

    digest: bytes  # of its question: what a confused store gives for another is not used
    at_s: float  # Unix time at which it was complete
    streams: bool
    reported: tuple[str, ...]  # parameters that the target could not carry
    body: bytes  # or the events of the stream


class Outcome(NamedTuple):
    """What a waiting request is given. Nothing of it: it is the next to ask."""

    kept: Kept | None = None
    how: str = "coalesced"  # or "hit", "stale"
    listener: Listener | None = None
    failure: GatemillError | None = None

    @property
    def leads(self) -> bool:
        """The request has to ask itself."""
        return self.kept is None and self.listener is None and self.failure is None


_LEADS = Outcome()


class Flight:
    """One question under way. Its waiting requests are at most the gate's `in_flight_max`."""

    __slots__ = ("_key", "_table", "_waiting", "deadline_s", "recording", "reported")

    def __init__(self, key: Hashable, table: dict[Hashable, Flight]) -> None:
        """It stands in `table` until it lands, and so is found by equal questions."""
        self._key = key
        self._table = table
        # Who waits, in the order they came, with their deadlines.
        self._waiting: dict[asyncio.Future[Outcome], float] = {}
        self.deadline_s = 0.0  # of the one who leads; monotonic
        self.recording: Recording | None = None  # set once the answer flows
        self.reported: tuple[str, ...] = ()  # parameters that its target cannot carry
        table[key] = self

    def admits(self, deadline_s: float, now_s: float) -> bool:
        """Whether a call with this deadline can join.

        Not when the leader has less than half of its patience: its deadline would cut the answer.
        """
        if deadline_s - now_s > 2 * (self.deadline_s - now_s):
            return False
        return self.recording is None or self.recording.admits

    async def outcome(self, deadline_s: float, now_s: float) -> Outcome:
        """What the leader gets. Raises DeadlineExceeded."""
        waiter: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = deadline_s
        taken = False
        try:
            async with asyncio.timeout(deadline_s - now_s):
                outcome = await waiter
            taken = True
        except TimeoutError:
            raise DeadlineExceeded(
                "The request's deadline passed while an equal one was under way. Allow more time."
            ) from None
        finally:
            if not taken:
                self._refused(waiter)
        return outcome

    def give(self, outcome: Outcome) -> None:
        """All who wait go on with this, and the flight is over."""
        self.land()
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(outcome)
        self._waiting.clear()

    def give_stream(self, recording: Recording, reported: tuple[str, ...]) -> None:
        """All who wait, and those who come as long as it admits them, listen."""
        self.recording = recording
        self.reported = reported
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(Outcome(listener=recording.join()))
        self._waiting.clear()

    def fail(self, error: GatemillError | None) -> None:
        """The one who led has no answer; None when it was cancelled, or by a fault of our own."""
        if isinstance(error, InvalidRequest) and not isinstance(error, PriceUnknown):
            self.give(Outcome(failure=error))
        else:
            self._hand_over()

    def land(self) -> None:
        """Nobody finds it any more."""
        if self._table.get(self._key) is self:
            del self._table[self._key]

    def _hand_over(self) -> None:
        left = [waiter for waiter in self._waiting if not waiter.done()]
        if not left:
            self.land()
            return
        # None of the others has more time than this one, so its deadline cuts nobody's answer.
        waiter = max(left, key=self._waiting.__getitem__)
        del self._waiting[waiter]
        waiter.set_result(_LEADS)

    def _refused(self, waiter: asyncio.Future[Outcome]) -> None:
        """One who waited is gone; what it may have been given in that moment goes to others."""
        self._waiting.pop(waiter, None)
        if not waiter.done() or waiter.cancelled():
            return
        outcome = waiter.result()
        if outcome.leads:
            self._hand_over()
        elif outcome.listener is not None:
            outcome.listener.abort()
