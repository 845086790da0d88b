"""Where the processes behind one port leave their numbers, so that any of them can tell those of all.

Rule: one small file for each living process, replaced as a whole, and one for all the dead. What a
scrape has told can only grow afterwards: it was in the files before.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gatemill.observe.snapshots import Snapshot, together

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from gatemill.core.clock import Clock
    from gatemill.observe.metrics import Meter

PUBLISH_S = 1.0  # between two looks at whether anything has changed
PUBLISH_SHARE = 0.02  # of a process's time at most, however many numbers it has
_LIVE = ".live"
_DEAD = "dead"
_NAMES_MAX = 128  # of the dead, for readers that are in the middle of it
_MEMORY = Path("/dev/shm")


class Dead(Struct, array_like=True):
    """What all that have died had counted, and whose files are in it."""

    snapshot: Snapshot
    names: list[str]


_encode = msgspec.msgpack.encode
_live = msgspec.msgpack.Decoder(Snapshot)
_dead = msgspec.msgpack.Decoder(Dead)


@contextmanager
def folder() -> Iterator[Path]:
    """A folder of this process, gone at the end; in memory, where there is such a place.

    A process that was forked meanwhile leaves it alone. Raises OSError.
    """
    owner = os.getpid()
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    path = Path(tempfile.mkdtemp(prefix="gatemill-", dir=place))
    try:
        yield path
    finally:
        if os.getpid() == owner:
            shutil.rmtree(path, ignore_errors=True)


class Board:
    """The folder, as a process sees it that has a file of its own there."""

    def __init__(self, path: Path, clock: Clock, meter: Meter) -> None:
        """`path` belongs to the process that has forked this one; `meter` has the numbers."""
        self._path = path
        self._clock = clock
        self._meter = meter
        self._parent = os.getppid()
        # Another process may have the same number later, and must not be taken for one of the dead.
        name = f"{os.getpid()}-{int(clock.unix_s() * 1e6):x}"
        self._own = path / f"{name}{_LIVE}"
        self._numbers = b""  # as they were written last
        self._failed = 0
        meter.counters["gatemill_metrics_files_failed"] = (
            "Times that the numbers of one of several processes could not be written or read.",
            lambda: self._failed,
        )

    async def run(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Others see these numbers, at most about a second late, until this is cancelled."""
        try:
            while True:
                begun_s = self._clock.monotonic_s()
                self._publish()
                took_s = self._clock.monotonic_s() - begun_s
                await sleep(max(PUBLISH_S, took_s / PUBLISH_SHARE))
        finally:
            self._publish()
            if os.getppid() != self._parent:
                self._leave()

    def together(self) -> Meter:
        """The numbers of all processes, ours as they are now."""
        self._publish(always=True)
        # By way of the meter we have: the supervisor need not load what makes pages.
        return self._meter.showing(self._read())

    # --- Inside ----------------------------------------------------------------------------------

    def _publish(self, *, always: bool = False) -> None:
        """They are not written again if nothing has changed."""
        now = self._meter.snapshot(0.0)
        numbers = _encode(now)
        if numbers == self._numbers and not always:
            return
        self._numbers = numbers
        now.at_s = self._clock.unix_s()
        try:
            _write(self._own, _encode(now))
        except OSError:  # the disk is full: the last numbers stand
            self._failed += 1

    def _read(self) -> Snapshot:
        living: dict[str, Snapshot] = {}
        for name in _names(self._path):
            # One that dies in between is among the dead, which are read last.
            with suppress(FileNotFoundError):
                data = (self._path / f"{name}{_LIVE}").read_bytes()
                try:
                    living[name] = _live.decode(data)
                except msgspec.MsgspecError:  # of another version
                    self._failed += 1
        # The folder is full, or somebody has taken it away: ours are known all the same.
        if self._own.stem not in living:
            own = self._meter.snapshot(self._clock.unix_s())
            living[self._own.stem] = _live.decode(_encode(own))
        try:
            dead = _buried(self._path)
        except msgspec.MsgspecError:
            self._failed += 1
            dead = None
        if dead is None:
            return together(list(living.values()))
        known = set(dead.names)
        return together([one for name, one in living.items() if name not in known], dead.snapshot)

    def _leave(self) -> None:
        """The folder's owner has gone without tidying: our file goes, and the folder with the last one."""
        with suppress(OSError):
            self._own.unlink()
            (self._path / _DEAD).unlink(missing_ok=True)
            self._path.rmdir()


def bury(path: Path, pid: int) -> None:
    """What a process had counted is kept among the dead; only the folder's owner may call this."""
    for own in path.glob(f"{pid}-*{_LIVE}"):
        # The disk is full, or it was of another version: then its file stays as it is.
        with suppress(OSError, msgspec.MsgspecError):
            last = _live.decode(own.read_bytes())
            before = _buried(path)
            last.gauges.clear()
            names = [own.stem] if before is None else [*before.names[1 - _NAMES_MAX :], own.stem]
            snapshot = together([last], None if before is None else before.snapshot)
            _write(path / _DEAD, _encode(Dead(snapshot, names)))
            own.unlink()
    for draft in path.glob(f"{pid}-*.new"):  # it was killed in the middle of a write
        draft.unlink(missing_ok=True)


def _names(path: Path) -> list[str]:
    return sorted(one.stem for one in path.glob(f"*{_LIVE}"))


def _buried(path: Path) -> Dead | None:
    try:
        return _dead.decode((path / _DEAD).read_bytes())
    except FileNotFoundError:
        return None


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(data)
    fresh.replace(path)
