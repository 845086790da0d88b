"""Usage rows on their way to the database. Rule: a row is in the kernel's hands before the caller has its answer.

`append` is one write to a file: what the kernel has taken survives `kill -9`, though not a power cut
before the next commit. The journal IS the queue: the writer's thread reads the rows back from it,
commits them, and empties a file when all of its rows are committed. Two files take turns.

Two threads share a file without a lock, because each number has one owner: `written` moves only in
the event loop's thread while the file is active, `committed` and an idle file only in the writer's.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import structlog

from gatemill.core.call import UsageRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILE_BYTES = 4 << 20  # a file this long is left for the other one, as soon as that is empty
FILE_BYTES_MAX = 256 << 20  # about 500,000 rows while the database refuses them; then appends fail
CHUNK_BYTES = 1 << 20  # about 2,000 rows: one transaction
SUFFIX = ".jsonl"
REJECTED = "rejected.txt"  # lines that are no rows, kept for a human

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(UsageRow)


class File:
    """One journal file, locked for as long as it is open."""

    __slots__ = ("committed", "fd", "path", "written")

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd
        self.written = 0  # bytes of whole rows
        self.committed = 0  # of these, bytes whose rows are in the database


class Chunk(NamedTuple):
    """Whole lines of a file."""

    file: File
    data: bytes


class Journal:
    """The journal of one process."""

    def __init__(self, folder: Path, file_bytes: int, file_bytes_max: int) -> None:
        """Two fresh files of its own in `folder`, which exists. For the limits see `FILE_BYTES`."""
        self._file_bytes = file_bytes
        self._file_bytes_max = file_bytes_max
        self._files = (_create(folder), _create(folder))
        self._active = self._files[0]  # changed by `append` only

    def append(self, row: UsageRow) -> None:
        """The row outlives this process. Event loop's thread only.

        Raises OSError when the row was not taken; the file is then as before.
        """
        line = _encode(row) + b"\n"
        file = self._active
        if file.written >= self._file_bytes:
            file = self._roomy(file)
        count = os.write(file.fd, line)
        if count != len(line):  # the disk is full: half a row would spoil the next one
            os.ftruncate(file.fd, file.written)
            raise OSError(errno.ENOSPC, f"{count} of {len(line)} bytes written")
        file.written += count

    def pending(self) -> Chunk | None:
        """The oldest rows that are not committed, at most about `CHUNK_BYTES`. Writer's thread only."""
        active = self._active
        idle = self._files[0] if active is self._files[1] else self._files[1]
        if idle.written and idle.committed == idle.written:
            os.ftruncate(idle.fd, 0)
            idle.committed = 0
            idle.written = 0  # last: from here on `append` may take the file
        for file in (idle, active):
            data = _lines(file.fd, file.committed, file.written)
            if data:
                return Chunk(file, data)
        return None

    def retire(self, chunk: Chunk) -> None:
        """The rows of the chunk are committed; they are not offered again. Writer's thread only."""
        chunk.file.committed += len(chunk.data)

    def close(self) -> None:
        """Files are gone if their rows are committed; the next process finds the others."""
        for file in self._files:
            if file.committed == file.written:
                file.path.unlink(missing_ok=True)
            os.close(file.fd)
            file.fd = -1  # the number may soon mean another file; -1 makes a late append fail

    def _roomy(self, file: File) -> File:
        other = self._files[0] if file is self._files[1] else self._files[1]
        if other.written == 0:
            self._active = other
            return other
        if file.written >= self._file_bytes_max:
            raise OSError(errno.EFBIG, "the journal is full, because the database takes no rows")
        return file


class Rows(NamedTuple):
    """What a chunk of lines holds."""

    rows: list[UsageRow]
    rejected: list[bytes]  # lines that are no rows


def decode(data: bytes) -> Rows:
    """The rows of whole lines."""
    try:
        return Rows(_decoder.decode_lines(data), [])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decode_singly(data)


def _decode_singly(data: bytes) -> Rows:
    # Slower, but it tells the good lines from the bad.
    rows: list[UsageRow] = []
    rejected: list[bytes] = []
    for line in data.split(b"\n")[:-1]:
        try:
            rows.append(_decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError):
            rejected.append(line)
    return Rows(rows, rejected)


def encode(row: UsageRow) -> bytes:
    """The row's line, without its end."""
    return _encode(row)


def keep_rejected(folder: Path, lines: list[bytes]) -> None:
    """The lines stand in `rejected.txt`, for a human: they may be all there is of a payment."""
    with (folder / REJECTED).open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))
    structlog.get_logger().error(
        "usage_rows_rejected", rows=len(lines), file=str(folder / REJECTED), fix="report a bug"
    )


class Recovered(NamedTuple):
    """What dead processes left."""

    lines: int  # offered to the database, which ignores those it has
    torn: int  # last lines cut off by the death; their callers had no answer yet


def recover(folder: Path, commit: Callable[[bytes], None]) -> Recovered:
    """Every file whose process is dead has been handed to `commit`, chunk by chunk, and removed.

    What `commit` raises leaves the file where it is.
    """
    lines = torn = 0
    for file in _orphans(folder):
        try:
            size = os.fstat(file.fd).st_size
            while data := _lines(file.fd, file.committed, size):
                commit(data)
                lines += data.count(b"\n")
                file.committed += len(data)
            torn += file.committed < size
            file.path.unlink()
        finally:
            os.close(file.fd)
    if lines or torn:
        structlog.get_logger().warning("usage_journal_recovered", rows=lines, torn=torn)
    return Recovered(lines, torn)


def _lines(fd: int, start: int, end: int) -> bytes:
    # Whole lines between two offsets, at least one if there is one, about CHUNK_BYTES.
    wanted = CHUNK_BYTES
    while start < end:
        data = os.pread(fd, min(wanted, end - start), start)
        cut = data.rfind(b"\n") + 1
        if cut or len(data) < wanted:
            return data[:cut]
        wanted *= 2  # a single row longer than the chunk
    return b""


# Whose file it is, is decided by a lock and not by the process id in the name: in a container the
# process after a crash has the same id as the dead one. The kernel drops the lock with the process.


def _create(folder: Path) -> File:
    while True:
        path = folder / f"{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        # Another process looking for orphans may have taken the file between the two calls.
        if _lock(fd, path):
            return File(path, fd)
        os.close(fd)


def _orphans(folder: Path) -> Iterator[File]:
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            fd = os.open(path, os.O_RDWR)
        except FileNotFoundError:  # its owner closed it, or another process recovered it
            continue
        if _lock(fd, path):
            yield File(path, fd)
        else:
            os.close(fd)


def _lock(fd: int, path: Path) -> bool:
    # True: the file is ours, and still the one at `path`.
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.stat().st_ino == os.fstat(fd).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False
