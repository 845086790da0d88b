"""Processes under test: started on given cores, their CPU time and memory read from /proc.

Rule: figures are of the whole tree, so a worker or a helper process cannot hide.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PROC = Path("/proc")
TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
STOP_S = 15.0


class Stat(Struct, frozen=True):
    """What is read of /proc/PID/stat."""

    parent: int
    ticks: int  # user and system time, and that of children that have ended


class Memory(Struct, frozen=True):
    """Resident memory of a tree."""

    rss_bytes: int  # pages shared between its processes count once in each
    pss_bytes: int  # shared pages divided among all that share them, outsiders included


def start(command: Sequence[str], cores: Sequence[int], log_path: Path) -> subprocess.Popen[bytes]:
    """A process in a session of its own, on `cores` only; its output goes to the end of `log_path`."""
    own = os.sched_getaffinity(0)
    # A child inherits the cores, threads it starts early included; setting them afterwards would race.
    os.sched_setaffinity(0, cores)
    try:
        with log_path.open("ab") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
    finally:
        os.sched_setaffinity(0, own)


def stop(process: subprocess.Popen[bytes], patience_s: float = STOP_S) -> None:
    """The whole session has ended; asked first, killed after `patience_s`."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def cpu_s(root: int) -> float:
    """CPU seconds that the tree of `root` has used since it started."""
    stats = _stats()
    return sum(stats[pid].ticks for pid in tree(root, stats)) * TICK_S


def memory(root: int) -> Memory:
    """Resident memory of the tree of `root` now."""
    rss_bytes = pss_bytes = 0
    for pid in tree(root, _stats()):
        with contextlib.suppress(OSError):
            part = parse_rollup((_PROC / str(pid) / "smaps_rollup").read_text())
            rss_bytes += part.rss_bytes
            pss_bytes += part.pss_bytes
    return Memory(rss_bytes, pss_bytes)


def tree(root: int, stats: Mapping[int, Stat]) -> list[int]:
    """`root` and its descendants among `stats`."""
    found = [root] if root in stats else []
    for parent in found:  # grows while it is walked
        found += [pid for pid, stat in stats.items() if stat.parent == parent]
    return found


def parse_stat(text: str) -> Stat:
    """Fields 4 and 14 to 17 of proc(5)'s stat; the name in brackets may hold anything."""
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(parent=int(fields[1]), ticks=sum(map(int, fields[11:15])))


def parse_rollup(text: str) -> Memory:
    """Rss and Pss of a smaps_rollup file, which are in kB."""
    sizes = {line.split(":")[0]: line.split()[1] for line in text.splitlines()[1:]}
    return Memory(int(sizes["Rss"]) * 1024, int(sizes["Pss"]) * 1024)


def _stats() -> dict[int, Stat]:
    return dict(_read_stats())


def _read_stats() -> Iterator[tuple[int, Stat]]:
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it ended while we looked
                yield int(folder.name), parse_stat((folder / "stat").read_text())
