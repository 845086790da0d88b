"""Room for jobs in one worker: over all, and by queue. Rule: counts only; who starts is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.job import Want

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from gatemill.core.job import Claimed

AGED_EVERY = 20  # starts, of which one goes to the job that has waited longest


class Slots:
    """Written by one worker."""

    def __init__(
        self, total: int, by_queue: Mapping[str, int], priorities: tuple[int, ...]
    ) -> None:
        """`by_queue` has every queue served, with the most of its jobs at once."""
        self.total = total
        self.by_queue = by_queue
        self.used: dict[str, int] = dict.fromkeys(by_queue, 0)
        self._priorities = priorities
        self._order = list(by_queue)  # whoever was asked goes to the end
        self._hopeful = set(by_queue)  # queues that may have jobs for us
        self._starts: dict[str, int] = {}  # of each queue, since one went by age

    @property
    def running(self) -> int:
        """Jobs that run."""
        return sum(self.used.values())

    def free(self, queue: str) -> int:
        """Jobs of this queue that can begin."""
        most = self.by_queue.get(queue, 0)
        return max(0, min(self.total - self.running, most - self.used.get(queue, 0)))

    def news(self, queues: Collection[str] = ()) -> None:
        """These queues may have jobs for us; without names, all."""
        self._hopeful.update(queues or self.by_queue)

    def wants(self) -> list[Want]:
        """What to ask for now: room is shared among the queues that may have jobs.

        Those whose next start goes by age come alone.
        """
        asked = [queue for queue in self._order if queue in self._hopeful and self.free(queue)]
        asked = [queue for queue in asked if self.by_age(queue)] or asked
        left = self.total - self.running
        share = max(1, left // max(1, len(asked)))
        wants = []
        for queue in asked:
            count = min(share, left, self.free(queue))
            if count:
                wants.append(Want(queue, count, self._priorities))
                left -= count
        return wants

    def answered(self, wants: Sequence[Want], found: Sequence[Claimed]) -> None:
        """The ledger gave these; a queue that gave less than was wanted has no more."""
        for want in wants:
            if sum(one.job.queue == want.queue for one in found) < want.free:
                self._hopeful.discard(want.queue)
            self._order.remove(want.queue)
            self._order.append(want.queue)
        self._count(wants, found)

    def by_age(self, queue: str) -> bool:
        """The queue's next start goes to the job that has waited longest."""
        return self._starts.get(queue, 0) >= AGED_EVERY - 1

    def take(self, queue: str) -> None:
        """A job holds a slot."""
        self.used[queue] = self.used.get(queue, 0) + 1

    def give(self, queue: str) -> None:
        """A job has ended."""
        self.used[queue] -= 1

    def _count(self, wants: Sequence[Want], found: Sequence[Claimed]) -> None:
        for want in wants:
            count = sum(one.job.queue == want.queue for one in found)
            if count and self.by_age(want.queue):
                self._starts[want.queue] = 0
            else:
                self._starts[want.queue] = self._starts.get(want.queue, 0) + count
