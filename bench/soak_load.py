"""The callers of the soak: an even rate of operations, whatever becomes of them. Rule: it counts, it does not judge."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from typing import TYPE_CHECKING

from bench import soak_mix
from bench.soak_mix import DEEDS, SCRIPTED

if TYPE_CHECKING:
    from bench.soak_wire import Wires

_TICK_S = 0.01
UNDER_WAY_MAX = 500  # operations beyond it are left out and counted: the machine does not keep up
_FAILURES_KEPT = 30


class Load:
    """Callers, who may rest."""

    def __init__(self, wires: Wires, rate_per_s: float, seed: int) -> None:
        self.begun: Counter[str] = Counter()
        self.scripted: Counter[str] = Counter()  # failures that the provider's script demands
        self.failed: Counter[str] = Counter()
        self.failures: list[str] = []  # the first ones, in words
        self.left_out = 0
        self._wires = wires
        self._rate_per_s = rate_per_s
        self._chance = random.Random(seed)
        self._weights = [deed.weight for deed in DEEDS]
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, seconds: float) -> None:
        """So long at the rate, and everything that was begun has ended."""
        begin_s = time.monotonic()
        sent = 0
        while (passed_s := time.monotonic() - begin_s) < seconds:
            due = int(passed_s * self._rate_per_s) - sent
            sent += due
            for deed in self._chance.choices(DEEDS, self._weights, k=due):
                self._begin(deed)
            await asyncio.sleep(_TICK_S)
        await self._ended()

    async def each_once(self) -> None:
        """One operation of each kind, so that a short run has them all."""
        for deed in DEEDS:
            self._begin(deed)
        await self._ended()

    def _begin(self, deed: soak_mix.Deed) -> None:
        if len(self._tasks) >= UNDER_WAY_MAX:
            self.left_out += 1
            return
        self.begun[deed.name] += 1
        task = asyncio.get_running_loop().create_task(self._one(deed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ended(self) -> None:
        if self._tasks:
            await asyncio.gather(*self._tasks)
        self._wires.close()

    async def _one(self, deed: soak_mix.Deed) -> None:
        said = await soak_mix.done(deed, self._wires, self._chance)
        if said == SCRIPTED:
            self.scripted[deed.name] += 1
        elif said:
            self.failed[deed.name] += 1
            if len(self.failures) < _FAILURES_KEPT:
                self.failures.append(f"{deed.name}: {said}")
