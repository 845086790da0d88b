"""A file that says how much of it has passed by. Rule: in whole megabytes, and only where there are many."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gatemill.cli.bar import Bar

SHOWN_BYTES = 16 << 20  # what is smaller takes no time
_MEGABYTE = 20  # bits


class Counted(io.FileIO):
    """Calls `show` with the megabytes that were read or written so far."""

    def __init__(self, file: int, mode: str, show: Callable[[int], None]) -> None:
        super().__init__(file, mode)
        self._show = show
        self._bytes = 0  # read and written

    def readinto(self, buffer: Any, /) -> int:
        """As files do."""
        count = super().readinto(buffer) or 0
        self._passed(count)
        return count

    def write(self, data: Any, /) -> int:
        """As files do."""
        count = super().write(data) or 0
        self._passed(count)
        return count

    def _passed(self, count: int) -> None:
        before, self._bytes = self._bytes, self._bytes + count
        if before >> _MEGABYTE != self._bytes >> _MEGABYTE:
            self._show(self._bytes >> _MEGABYTE)


def megabytes(bar: Bar, total_bytes: int | None, text: str = "MB") -> Callable[[int], None]:
    """Shows them on a bar, as soon as it is clear that there are many."""

    def show(count: int) -> None:
        if (total_bytes or count << _MEGABYTE) >= SHOWN_BYTES:
            bar.show(count, None if total_bytes is None else total_bytes >> _MEGABYTE, text)

    return show


def passing(pieces: Iterable[bytes], show: Callable[[int], None]) -> Iterator[bytes]:
    """The pieces, counted."""
    total = 0
    for piece in pieces:
        before, total = total, total + len(piece)
        if before >> _MEGABYTE != total >> _MEGABYTE:
            show(total >> _MEGABYTE)
        yield piece
