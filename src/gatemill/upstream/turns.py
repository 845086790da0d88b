"""So many at once of each name; a few wait for a moment, all others are told when to come back.

Rule: a name that is slow holds up its own work and nobody else's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from msgspec import Struct, field

from gatemill.core.errors import Overloaded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

NAMES_MAX = 10_000  # remembered; then those without work are forgotten
_AWAY_S = (1.0, 60.0)  # until somebody who was sent away comes back


class _Name(Struct, eq=False):
    """What is known of one name."""

    began: list[float] = field(default_factory=list)  # of those who have a turn
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    took_s: float = 0.0  # lately
    turn_s: float = 0.0  # when the last one who was sent away may come


class Turns:
    """Belongs to one event loop."""

    def __init__(self, most: int, patience_s: float, now_s: Callable[[], float]) -> None:
        """`most` is of one name; `patience_s` is the longest wait; `now_s` is monotonic."""
        self._most = most
        self._patience_s = patience_s
        self._now_s = now_s
        self._names: dict[str, _Name] = {}

    @property
    def running(self) -> int:
        """Over all names."""
        return sum(len(each.began) for each in self._names.values())

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        """One of the turns of a name, in the order of asking.

        Raises Overloaded when it would take, or has taken, longer than the patience. Those who are
        sent away are to come one after the other, as fast as the work is done.
        """
        one = self._known(name)
        if len(one.began) + len(one.waiting) >= self._most:
            await self._wait(one)
        began_s = self._now_s()
        one.began.append(began_s)
        share = 0.25  # of what is learnt now
        try:
            yield
        except Overloaded:  # another turn was not to be had, so nothing was done
            share = 0.0
            raise
        finally:
            one.began.remove(began_s)
            one.took_s += (self._now_s() - began_s - one.took_s) * share
            self._wake(one)

    async def _wait(self, one: _Name) -> None:
        now_s = self._now_s()
        slowest_s = max(one.took_s, now_s - min(one.began, default=now_s))
        if slowest_s * (len(one.waiting) + 1) / self._most > self._patience_s:
            raise self._overloaded(one)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        one.waiting.append(turn)
        taken = False
        try:
            async with asyncio.timeout(self._patience_s):
                await turn
            taken = True
        except TimeoutError:
            raise self._overloaded(one) from None
        finally:
            one.waiting.remove(turn)
            if not taken:
                self._wake(one)  # whoever left in the moment of their turn passes it on

    def _wake(self, one: _Name) -> None:
        # A turn that was given is free until its new owner runs: those stand in `waiting`, done.
        given = sum(turn.done() for turn in one.waiting)
        for turn in one.waiting:
            if len(one.began) + given >= self._most:
                return
            if not turn.done():
                turn.set_result(None)
                given += 1

    def _overloaded(self, one: _Name) -> Overloaded:
        now_s = self._now_s()
        least_s, most_s = _AWAY_S
        one.turn_s = min(max(one.turn_s, now_s) + one.took_s / self._most, now_s + most_s)
        return Overloaded(
            "As many notifications to this host as it may get are under way.",
            retry_after_s=max(least_s, one.turn_s - now_s),
        )

    def _known(self, name: str) -> _Name:
        if name not in self._names and len(self._names) >= NAMES_MAX:
            busy = {key: each for key, each in self._names.items() if each.began or each.waiting}
            self._names = busy
        return self._names.setdefault(name, _Name())
