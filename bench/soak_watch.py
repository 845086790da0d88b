"""What is watched of the gateway from outside and inside. Rule: /proc, its files and one signal; nothing is asked by HTTP."""

from __future__ import annotations

import asyncio
import math
import os
import statistics
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from bench.failures import BenchStopped
from bench.soak_inside import SIGNAL, Inside

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BLOCKS = 20  # of which each gives one point of the slope's line
_LOOKS_MAX = 5_000
_LOOK_PAUSE_S = 0.02
_MB = 1e6


class Sample(Struct, frozen=True):
    """One moment."""

    at_s: float
    rss_mb: float
    anonymous_mb: float
    fds: int
    threads: int
    wal_mb: float
    journal_mb: float


class Slope(Struct, frozen=True):
    """A straight line through blocks of samples."""

    mb_per_h: float
    error: float  # standard error, the same unit


class Watched:
    """A running gateway."""

    def __init__(self, pid: int, data: Path, inside: Path) -> None:
        self.pid = pid
        self._data = data
        self._inside = inside

    def sample(self, now_s: float) -> Sample:
        """Now. Raises BenchStopped where the process has gone."""
        folder = Path(f"/proc/{self.pid}")
        try:
            fields = dict(
                line.split(":", 1)
                for line in (folder / "status").read_text().splitlines()
                if ":" in line
            )
            fds = sum(1 for _ in (folder / "fd").iterdir())
        except (OSError, ValueError) as error:
            raise BenchStopped("the gateway has ended during the soak") from error
        if "VmRSS" not in fields:
            raise BenchStopped("the gateway has ended during the soak")
        return Sample(
            at_s=now_s,
            rss_mb=_kb(fields["VmRSS"]),
            anonymous_mb=_kb(fields["RssAnon"]),
            fds=fds,
            threads=int(fields["Threads"]),
            wal_mb=_size_mb(self._data.glob("*-wal")),
            journal_mb=_size_mb(self._data.glob("journal/*")),
        )

    async def look(self, asked: int = SIGNAL) -> Inside:
        """What it says of itself at this signal. Raises BenchStopped when it says nothing."""
        before = self._read().number
        os.kill(self.pid, asked)
        for _ in range(_LOOKS_MAX):
            await asyncio.sleep(_LOOK_PAUSE_S)
            found = self._read()
            if found.number > before:
                return found
        raise BenchStopped("the gateway does not react to a signal")

    def _read(self) -> Inside:
        if not self._inside.exists():
            return Inside()
        return msgspec.json.decode(self._inside.read_bytes(), type=Inside)


def slope(points: Sequence[tuple[float, float]]) -> Slope:
    """Of (seconds, MB): least squares through the means of `BLOCKS` blocks, so that neighbours count as one.

    The error is infinite for fewer points than three blocks.
    """
    size = max(1, len(points) // BLOCKS)
    blocks = [points[at : at + size] for at in range(0, len(points) - size + 1, size)]
    if len(blocks) < 3:
        return Slope(0.0, math.inf)
    xs = [statistics.fmean(x for x, _ in block) / 3600 for block in blocks]
    ys = [statistics.fmean(y for _, y in block) for block in blocks]
    line = statistics.linear_regression(xs, ys)
    middle = statistics.fmean(xs)
    spread = sum((x - middle) ** 2 for x in xs)
    rest = sum((y - line.intercept - line.slope * x) ** 2 for x, y in zip(xs, ys, strict=True)) / (
        len(xs) - 2
    )
    return Slope(line.slope, math.sqrt(rest / spread))


def _kb(field: str) -> float:
    return int(field.split(maxsplit=1)[0]) * 1024 / _MB


def _size_mb(paths: Iterable[Path]) -> float:
    total = 0
    for path in paths:
        with suppress(OSError):  # it went while we looked
            total += path.stat().st_size
    return total / _MB
