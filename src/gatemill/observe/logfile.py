"""A log in a file: bounded by renaming it, and shared by all processes that write to it.

Rule: a line is appended as a whole to the file that has the name now. Whoever renames it, we or
logrotate, the next lines go to a new one.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

_MODE = 0o640
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class LogFile:
    """The file with this name. Belongs to one thread, but for `reopen`."""

    def __init__(self, path: Path, bytes_max: int, files_max: int) -> None:
        """With `files_max` 0 somebody else renames it. Raises OSError."""
        self._path = path
        self._bytes_max = bytes_max
        self._files_max = files_max
        self._stale = False  # set by anybody, cleared by the thread
        self._fd = os.open(path, _FLAGS, _MODE)

    def reopen(self) -> None:
        """The next lines go to whatever has the name then."""
        self._stale = True

    def write(self, lines: bytes) -> None:
        """The lines are in the file. Raises OSError."""
        if self._stale or self._is_renamed():
            self._stale = False
            self._open()
        if self._files_max and os.fstat(self._fd).st_size + len(lines) > self._bytes_max:
            self._rotate()
        view = memoryview(lines)
        while view:
            view = view[os.write(self._fd, view) :]

    def close(self) -> None:
        """It is written no more."""
        os.close(self._fd)

    # --- Inside ----------------------------------------------------------------------------------

    def _is_renamed(self) -> bool:
        try:
            now, ours = self._path.stat(), os.fstat(self._fd)
        except FileNotFoundError:
            return True
        return (now.st_dev, now.st_ino) != (ours.st_dev, ours.st_ino)

    def _open(self) -> None:
        fresh = os.open(self._path, _FLAGS, _MODE)
        os.close(self._fd)
        self._fd = fresh

    def _rotate(self) -> None:
        """Whoever has the lock of the file renames it; the others find that it has been done."""
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            if not self._is_renamed() and os.fstat(self._fd).st_size:
                for number in range(self._files_max - 1, 0, -1):
                    with suppress(FileNotFoundError):
                        self._numbered(number).replace(self._numbered(number + 1))
                self._path.replace(self._numbered(1))
        finally:
            # Not by closing alone: a process that we have forked holds the same lock.
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def opened(path: str, bytes_max: int, files_max: int) -> LogFile | None:
    """The file, if there is to be one. Raises OSError."""
    return LogFile(Path(path), bytes_max, files_max) if path else None
