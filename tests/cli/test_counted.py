"""Long work on files is shown while it goes on, and short work is not."""

from __future__ import annotations

import io
import os
from pathlib import Path

from gatemill.cli.counted import SHOWN_BYTES, Counted, megabytes, passing

MEGABYTE = 1 << 20


class Seen:
    """Stands where the bar does."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, int | None, str]] = []

    def show(self, current: int, total: int | None, text: str) -> None:
        self.shown.append((current, total, text))


def test_what_is_read_and_written_is_counted_in_megabytes(tmp_path: Path) -> None:
    file = tmp_path / "big"
    counts: list[int] = []
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    with io.BufferedWriter(Counted(descriptor, "wb", counts.append)) as out:
        for _ in range(5):
            out.write(bytes(MEGABYTE // 2))
    assert counts == [1, 2]
    counts.clear()
    with io.BufferedReader(Counted(os.open(file, os.O_RDONLY), "rb", counts.append)) as source:
        for _ in range(2):
            assert sum(len(piece) for piece in iter(lambda: source.read(65_536), b"")) > 0
            source.seek(0)
    assert counts[-1] == 5
    assert list(passing([bytes(MEGABYTE)] * 3, counts.append)) == [bytes(MEGABYTE)] * 3
    assert counts[-3:] == [1, 2, 3]


def test_only_what_is_long_is_shown() -> None:
    bar = Seen()
    show = megabytes(bar, 2 * MEGABYTE)
    show(1)
    assert bar.shown == []
    megabytes(bar, SHOWN_BYTES * 2)(3)
    assert bar.shown == [(3, SHOWN_BYTES * 2 >> 20, "MB")]
    endless = megabytes(bar, None, "MB sent")
    endless(1)
    endless(SHOWN_BYTES >> 20)
    assert bar.shown[1:] == [(SHOWN_BYTES >> 20, None, "MB sent")]
