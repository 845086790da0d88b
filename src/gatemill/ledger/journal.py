"""Usage rows on their way to the database. Rule: a row is in the kernel's hands before the caller has its answer.

`append` is a copy into a file mapped into memory: the kernel owns its pages, so the row survives
`kill -9`, though not a power cut before the next commit. It is no system call, because each of those
hands Python's lock to whatever thread waits for it: writing to the file cost the event loop 30 us a
row under load. The journal IS the queue: the writer's thread reads the rows back from it, commits
them, and empties a file when all of its rows are committed. Two files take turns; what is not
written yet is zero.

Two threads share a file without a lock, because each number has one owner: `written` moves only in
the event loop's thread while the file is active, `committed` and an idle file only in the writer's.
"""

from __future__ import annotations

import errno
import mmap
import os
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import structlog

from gatemill.core.call import UsageRow
from gatemill.ledger import mapped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE_BYTES = 1 << 20  # about 4,000 rows; a full file is left for the other one, if that is empty
FILE_BYTES_MAX = (
    256 << 20
)  # about 1,000,000 rows while the database refuses them; then appends fail
CHUNK_BYTES = 256 << 10  # about 1,000 rows: one transaction
SUFFIX = ".jsonl"
REJECTED = "rejected.txt"  # lines that are no rows, kept for a human

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(UsageRow)


class File:
    """One journal file, mapped and locked for as long as it is open."""

    __slots__ = ("committed", "fd", "map", "path", "size", "written")

    def __init__(self, path: Path, fd: int, size: int) -> None:
        """`size` bytes are taken from the disk. Raises OSError when it has not as many."""
        self.path = path
        self.fd = fd
        mapped.allocate(fd, 0, size)
        self.map = mmap.mmap(fd, size)
        self.size = size
        self.written = 0  # bytes of whole rows
        self.committed = 0  # of these, bytes whose rows are in the database

    def grow(self, size: int) -> None:
        """The file has `size` bytes. Raises OSError when the disk has not as many."""
        mapped.allocate(self.fd, self.size, size)
        self.map.resize(size)
        self.size = size

    def empty(self, size: int) -> None:
        """The file has `size` zeros, and nothing in it."""
        if self.size > size:
            self.map.resize(size)
            self.size = size
        used = min(self.written, size)
        self.map[:used] = bytes(used)
        self.committed = 0
        self.written = 0  # last: from here on `append` may take the file


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
        self._files = (
            File(*mapped.create(folder, SUFFIX), file_bytes),
            File(*mapped.create(folder, SUFFIX), file_bytes),
        )
        self._active = self._files[0]  # changed by `append` only

    def append(self, row: UsageRow) -> None:
        """The row outlives this process. Event loop's thread only.

        Raises OSError when the row was not taken.
        """
        line = _encode(row) + b"\n"
        file = self._active
        end = file.written + len(line)
        if end > file.size:
            file = self._roomy(file, len(line))
            end = file.written + len(line)
        file.map[file.written : end] = line
        file.written = end

    def pending(self) -> Chunk | None:
        """The oldest rows that are not committed, at most about `CHUNK_BYTES`. Writer's thread only."""
        active = self._active
        idle = self._other(active)
        if idle.written and idle.committed == idle.written:
            idle.empty(self._file_bytes)
        for file in (idle, active):
            data = _lines(file.map, file.committed, file.written)
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
            file.map.close()
            os.close(file.fd)
            file.size = 0  # a late append fails, instead of meeting a closed map

    def _roomy(self, file: File, line_bytes: int) -> File:
        other = self._other(file)
        if file.size and other.written == 0 and line_bytes <= other.size:
            self._active = other
            return other
        if not file.size:
            raise OSError(errno.EBADF, "the journal is closed")
        wanted = file.size + max(self._file_bytes, line_bytes)
        if wanted > self._file_bytes_max:
            raise OSError(errno.EFBIG, "the journal is full, because the database takes no rows")
        file.grow(wanted)
        return file

    def _other(self, file: File) -> File:
        return self._files[0] if file is self._files[1] else self._files[1]


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
    for path, fd in mapped.orphans(folder, SUFFIX):
        try:
            left = path.read_bytes().rstrip(b"\0")
            # A death in the middle of a copy leaves zeros inside its line, or a line without an end.
            whole = b"".join(line + b"\n" for line in left.split(b"\n")[:-1] if b"\0" not in line)
            torn += (
                left.count(b"\n") - whole.count(b"\n") + (not left.endswith(b"\n") and bool(left))
            )
            at = 0
            while data := _lines(whole, at, len(whole)):
                commit(data)
                lines += data.count(b"\n")
                at += len(data)
            path.unlink()
        finally:
            os.close(fd)
    if lines or torn:
        structlog.get_logger().warning("usage_journal_recovered", rows=lines, torn=torn)
    return Recovered(lines, torn)


def _lines(source: bytes | mmap.mmap, start: int, end: int) -> bytes:
    # Whole lines between two offsets, at least one if there is one, about CHUNK_BYTES.
    wanted = CHUNK_BYTES
    while start < end:
        data = source[start : min(start + wanted, end)]
        cut = data.rfind(b"\n") + 1
        if cut or len(data) < wanted:
            return data[:cut]
        wanted *= 2  # a single row longer than the chunk
    return b""
