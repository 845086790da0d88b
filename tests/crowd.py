"""Many callers at once, each on its own kept-alive connection.

Rule: raw sockets, so that thousands of requests take seconds on a busy machine.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from msgspec import Struct

from peer import Answer, peer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from house_for_tests import Opened
    from running import Running


class Told(Struct):
    """An answer, and how long its caller waited for it."""

    answer: Answer
    took_s: float

    @property
    def status(self) -> int:
        return self.answer.status


async def crowd(
    gates: Sequence[Opened | Running], requests: Sequence[bytes], callers: int
) -> list[Told]:
    """The answers, in the order of the requests, of callers who each ask again once answered.

    Callers take the gates in turn.
    """
    told: list[Told | None] = [None] * len(requests)
    left = iter(range(len(requests)))

    async def call(gate: Opened | Running) -> None:
        closes = True
        while closes and (number := next(left, None)) is not None:
            async with peer(gate) as client:
                closes = False
                while number is not None and not closes:
                    began_s = time.monotonic()
                    await client.send(requests[number])
                    answer = await client.answer()
                    told[number] = Told(answer, time.monotonic() - began_s)
                    closes = answer.closes
                    number = None if closes else next(left, None)

    await asyncio.gather(*(call(gates[number % len(gates)]) for number in range(callers)))
    assert None not in told
    return [each for each in told if each is not None]


async def until(is_true: Callable[[], bool], within_s: float) -> None:
    """It is true. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not is_true():
            await asyncio.sleep(0.002)
