"""Word that something about a job has changed, inside this process.

Rule: a hint and nothing more. Who listens also looks by itself from time to time.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ear:
    """Somebody who watches a job: `forget`, look, `wait`, and again."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()

    def forget(self) -> None:
        """What has been heard so far is about to be looked at."""
        self.heard.clear()

    async def wait(self, patience_s: float) -> None:
        """There is word since `forget`, or the patience is over."""
        try:
            async with asyncio.timeout(patience_s):
                await self.heard.wait()
        except TimeoutError:
            return


class News:
    """One for a process; it outlives reloads."""

    def __init__(self) -> None:
        self._ears: dict[str, set[Ear]] = {}  # of the jobs that somebody watches

    @property
    def listeners(self) -> int:
        """How many watch a job now."""
        return sum(map(len, self._ears.values()))

    def tell(self, job_id: str) -> None:
        """Whoever watches the job looks again. Costs a look-up where nobody does; never raises."""
        for ear in self._ears.get(job_id, ()):
            ear.heard.set()

    @contextmanager
    def of(self, job_id: str) -> Iterator[Ear]:
        """Hears of this job, as long as the block runs."""
        ear = Ear()
        self._ears.setdefault(job_id, set()).add(ear)
        try:
            yield ear
        finally:
            ears = self._ears[job_id]
            ears.discard(ear)
            if not ears:
                del self._ears[job_id]
