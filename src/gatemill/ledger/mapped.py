"""Files that one process maps into memory and another finds when it is dead. Rule: a lock says whose a file is.

Not the process id in its name: in a container the process after a crash has the same id as the dead
one. The kernel drops the lock with the process.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def create(folder: Path, suffix: str) -> tuple[Path, int]:
    """A new empty file in `folder`, locked for as long as its descriptor is open."""
    while True:
        path = folder / f"{os.getpid()}-{secrets.token_hex(4)}{suffix}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        # Another process looking for orphans may have taken the file between the two calls.
        if _lock(fd, path):
            return path, fd
        os.close(fd)


def orphans(folder: Path, suffix: str) -> Iterator[tuple[Path, int]]:
    """The files of dead processes, locked for us. Whoever takes one closes its descriptor."""
    for path in sorted(folder.glob(f"*{suffix}")):
        try:
            fd = os.open(path, os.O_RDWR)
        except FileNotFoundError:  # its owner closed it, or another process recovered it
            continue
        if _lock(fd, path):
            yield path, fd
        else:
            os.close(fd)


def allocate(fd: int, start: int, end: int) -> None:
    """The file has real blocks from `start` to `end`. Raises OSError when the disk has not as many.

    Writing to a mapped hole on a full disk would kill the process.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, start, end - start)
    else:
        os.pwrite(fd, bytes(end - start), start)


def _lock(fd: int, path: Path) -> bool:
    # True: the file is ours, and still the one at `path`.
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.stat().st_ino == os.fstat(fd).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False
