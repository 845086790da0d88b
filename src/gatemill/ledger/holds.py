"""Attempts under way, for the case that we die. Rule: a slot is empty or whole at every instant.

`hold` copies the worst case of an attempt into a slot of a file mapped into memory, as the journal
does with what is over: no system call, and `kill -9` cannot take it back. First the row is written,
then the one byte that says so; both reach the kernel in this order. Whoever finds the file of a dead
process turns its slots into unsettled rows.

Event loop's thread only.
"""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from gatemill.core.call import UsageRow
from gatemill.ledger import mapped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


SLOT_BYTES = 1 << 10
ROW_BYTES_MAX = SLOT_BYTES - 2  # the mark before it, the line's end after it
SLOTS = 64
SLOTS_MAX = 16_384  # 16 MB; attempts beyond that are sent, but a crash forgets them
SUFFIX = ".holds"
NOWHERE = -1  # the slot of an attempt that could not be held

_encode = msgspec.json.Encoder().encode
_NAMES = ("model", "provider", "target_model", "user_id", "team_id", "version")
_NAME_CHARS = (64, 16, 2)


class Holds:
    """The slots of one process."""

    __slots__ = ("_failed", "_fd", "_free", "_map", "_slots", "_slots_max", "path")

    def __init__(
        self, folder: Path, slots: int, slots_max: int, failed: Callable[[str], None]
    ) -> None:
        """A file of its own in `folder`, which exists. `failed` hears why a row was not held."""
        self.path, self._fd = mapped.create(folder, SUFFIX)
        mapped.allocate(self._fd, 0, slots * SLOT_BYTES)
        self._map = mmap.mmap(self._fd, slots * SLOT_BYTES)
        self._slots = slots
        self._slots_max = slots_max
        self._failed = failed
        # The last one released is the next one taken: its page is warm.
        self._free = list(range(slots - 1, -1, -1))

    @property
    def owner(self) -> str:
        """The name of this process for as long as it lives; no other ever has it."""
        return self.path.stem

    def hold(self, row: UsageRow | tuple[Any, ...]) -> int:
        """The slot in which the row outlives this process; `NOWHERE` when there is none.

        A tuple has the row's values in the order of its fields: as JSON both are the same, and a
        tuple is made in a third of the time.
        """
        line = _encode(row)
        size = len(line)
        if size > ROW_BYTES_MAX:
            line = _shortened(msgspec.convert(row, UsageRow))
            size = len(line)
            if size > ROW_BYTES_MAX:
                self._failed("the row of an attempt is too long")
                return NOWHERE
        free = self._free
        if not free and not self._grow():
            return NOWHERE
        slot = free.pop()
        at = slot * SLOT_BYTES
        self._map[at + 1 : at + size + 2] = line + b"\n"
        self._map[at] = 1
        return slot

    def release(self, slot: int) -> None:
        """The row held there is not needed any more. Once for each `hold`; any result of it will do."""
        if slot >= 0 and self._slots:
            self._map[slot * SLOT_BYTES] = 0
            self._free.append(slot)

    def held(self) -> bytes:
        """The lines of all rows held now."""
        return lines(self._map[:])

    def close(self, *, remove: bool) -> None:
        """Nothing is held from now on. A file that is not removed is found by the next process."""
        if remove:
            self.path.unlink(missing_ok=True)
        self._free.clear()
        self._slots = self._slots_max = 0
        self._map.close()
        os.close(self._fd)

    def _grow(self) -> bool:
        slots = min(2 * self._slots, self._slots_max)
        if slots <= self._slots:
            self._failed(f"{self._slots} attempts are under way, the most that are held")
            return False
        try:
            mapped.allocate(self._fd, self._slots * SLOT_BYTES, slots * SLOT_BYTES)
            self._map.resize(slots * SLOT_BYTES)
        except OSError as error:
            self._slots_max = self._slots  # not tried again for every attempt
            self._failed(error.strerror or type(error).__name__)
            return False
        self._free.extend(range(slots - 1, self._slots - 1, -1))
        self._slots = slots
        return True


def lines(data: bytes) -> bytes:
    """The rows in whole slots, one a line."""
    slots = [data[at : at + SLOT_BYTES] for at in range(0, len(data), SLOT_BYTES)]
    return b"".join(slot[1:].partition(b"\n")[0] + b"\n" for slot in slots if slot[0])


def recover(folder: Path, commit: Callable[[str, bytes], None]) -> int:
    """The number of attempts that were under way when their process died.

    Every file whose process is dead has been handed to `commit`, with its owner, and removed.
    What `commit` raises leaves the file where it is.
    """
    count = 0
    for path, fd in mapped.orphans(folder, SUFFIX):
        try:
            left = lines(path.read_bytes())
            commit(path.stem, left)
            count += left.count(b"\n")
            path.unlink()
        finally:
            os.close(fd)
    if count:
        structlog.get_logger().warning("usage_holds_recovered", rows=count)
    return count


def _shortened(row: UsageRow) -> bytes:
    # What may be long are names. The true row, if it comes, has them whole.
    line = b""
    for chars in _NAME_CHARS:
        cut = {name: getattr(row, name)[:chars] for name in _NAMES}
        line = _encode(msgspec.structs.replace(row, decision="", **cut))
        if len(line) <= ROW_BYTES_MAX:
            break
    return line
