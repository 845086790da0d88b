"""Answers kept in this process. Rule: never more bytes than allowed; the least recently used go first."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatemill.core.clock import Clock

# What an entry takes besides its bytes: slot, link, tuple, float and the heads of two bytes objects.
# Python 3.11 used 220; test_cache.py measures it.
ENTRY_BYTES = 240


class MemoryAnswers:
    """Bytes by key, for a while."""

    def __init__(self, bytes_max: int, clock: Clock) -> None:
        self._bytes_max = bytes_max
        self._clock = clock
        self._entries: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()  # value, its end
        self.bytes = 0  # in use, keys and overhead included
        self.evicted = 0  # to make room
        self.refused = 0  # larger than the whole cache

    @property
    def entries(self) -> int:
        """Values kept, those included that have expired and were not asked for since."""
        return len(self._entries)

    async def get(self, key: bytes) -> bytes | None:
        """The value, unless it expired or gave way."""
        entry = self._entries.get(key)
        if entry is not None and entry[1] <= self._clock.monotonic_s():
            self._drop(key)
            entry = None
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: bytes, value: bytes, keep_s: float) -> None:
        """The value is kept for `keep_s` seconds, or until others need its room. Never waits."""
        if key in self._entries:
            self._drop(key)
        size = _size(key, value)
        if size > self._bytes_max:
            self.refused += 1
            return
        self._entries[key] = (value, self._clock.monotonic_s() + keep_s)
        self.bytes += size
        while self.bytes > self._bytes_max:
            oldest, (gone, _) = self._entries.popitem(last=False)
            self.bytes -= _size(oldest, gone)
            self.evicted += 1

    async def forget(self) -> int:
        """The number of values there were; none is kept any more."""
        count = len(self._entries)
        await self.close()
        return count

    async def close(self) -> None:
        """Nothing is kept any more."""
        self._entries.clear()
        self.bytes = 0

    def _drop(self, key: bytes) -> None:
        value, _ = self._entries.pop(key)
        self.bytes -= _size(key, value)


def _size(key: bytes, value: bytes) -> int:
    return len(key) + len(value) + ENTRY_BYTES
