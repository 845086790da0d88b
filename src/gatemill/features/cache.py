"""What is known of entities, for a few seconds. Rule: bounded; who was asked for least lately goes."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gatemill.features.feast import Known
    from gatemill.ledger.features import Pair

Values = dict[str, "Known"]  # by the feature's name, without its entity


class Cache:
    """One for the desk. Belongs to one event loop."""

    def __init__(self, entries_max: int, keep_s: float, now: Callable[[], float]) -> None:
        """`now` gives monotonic seconds."""
        self.hits = 0
        self.misses = 0
        self.evicted = 0
        self._entries_max = entries_max
        self._keep_s = keep_s
        self._now = now
        self._kept: OrderedDict[Pair, tuple[float, Values]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, pair: Pair) -> Values | None:
        """What is known of (entity, key), unless it is too old."""
        kept = self._kept.get(pair)
        if kept is None or self._now() - kept[0] >= self._keep_s:
            self.misses += 1
            return None
        self.hits += 1
        self._kept.move_to_end(pair)
        return kept[1]

    def put(self, found: Mapping[Pair, Values]) -> None:
        """It is kept from now on."""
        if not self._keep_s:
            return
        now_s = self._now()
        for pair, values in found.items():
            self._kept[pair] = now_s, values
            self._kept.move_to_end(pair)
        while len(self._kept) > self._entries_max:
            self._kept.popitem(last=False)
            self.evicted += 1

    def drop(self, pair: Pair) -> None:
        """Nothing is kept of it."""
        self._kept.pop(pair, None)

    def clear(self) -> None:
        """Nothing is kept."""
        self._kept.clear()
