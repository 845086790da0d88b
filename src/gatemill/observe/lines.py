"""Lines to standard output or a file from a thread, so that a slow reader never stops the event loop.

Rule: bounded; what does not fit is dropped and counted, and the count is a metric. A pipe that several
processes share gets whole lines.
"""

from __future__ import annotations

import os
import queue
import select
import stat
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.observe.logfile import LogFile

LINES_MAX = 10_000  # batches waiting for the thread
WAITING_BYTES_MAX = 64 << 20  # in those batches, because one of them may be large
_CLOSE = b""


class LineWriter:
    """Writes batches of lines to a file descriptor or a file, in order."""

    def __init__(self, out: int | LogFile) -> None:
        """A file is closed at the end; a descriptor is not."""
        self._out = out
        self._is_shared = isinstance(out, int) and _tears(out)
        self._queue: queue.Queue[bytes] = queue.Queue(LINES_MAX)
        self._lock = threading.Lock()  # around the two numbers below
        self._waiting_bytes = 0  # handed over and not yet written
        self.dropped = 0  # batches; written by write and the thread, read by metrics
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, lines: bytes) -> None:
        """Hand over lines that end in LF; returns at once."""
        if not lines:
            return
        with self._lock:
            if self._waiting_bytes + len(lines) > WAITING_BYTES_MAX:
                self.dropped += 1
                return
            try:
                self._queue.put_nowait(lines)
            except queue.Full:
                self.dropped += 1
            else:
                self._waiting_bytes += len(lines)

    def reopen(self) -> None:
        """What is written from now on goes to whatever has the file's name."""
        if not isinstance(self._out, int):
            self._out.reopen()

    def close(self) -> None:
        """Everything handed over has been written; waits at most 2 seconds for a stuck reader."""
        try:
            self._queue.put(_CLOSE, timeout=1.0)
        except queue.Full:
            return
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        while lines := self._queue.get():
            try:
                if not isinstance(self._out, int):
                    self._out.write(lines)
                elif self._is_shared:
                    for piece in pieces(lines):
                        _write(self._out, piece)
                else:
                    _write(self._out, memoryview(lines))
            except OSError:
                with self._lock:
                    self.dropped += 1  # the reader has gone, or the disk is full: nobody to tell
            with self._lock:
                self._waiting_bytes -= len(lines)
        if not isinstance(self._out, int):
            self._out.close()


def pieces(lines: bytes) -> Iterator[memoryview]:
    """Whole lines, as many as a pipe takes at once; a longer line by itself."""
    view, start, count = memoryview(lines), 0, len(lines)
    while start < count:
        end = lines.rfind(b"\n", start, start + select.PIPE_BUF) + 1
        if count - start <= select.PIPE_BUF:
            end = count
        elif not end:
            end = lines.find(b"\n", start) + 1 or count
        yield view[start:end]
        start = end


def _tears(fd: int) -> bool:
    """Whether others write there too, and come in between the parts of a long write."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _write(fd: int, lines: memoryview) -> None:
    while lines:
        lines = lines[os.write(fd, lines) :]
