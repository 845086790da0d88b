"""Lines to standard output from a thread, so that a slow reader never stops the event loop.

Rule: bounded; what does not fit is dropped and counted, and the count is a metric.
"""

from __future__ import annotations

import os
import queue
import threading

LINES_MAX = 10_000  # batches waiting for the thread
WAITING_BYTES_MAX = 64 << 20  # in those batches, because one of them may be large
_CLOSE = b""


class LineWriter:
    """Writes batches of lines to a file descriptor, in order."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
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

    def close(self) -> None:
        """Everything handed over has been written; waits at most 2 seconds for a stuck reader."""
        try:
            self._queue.put(_CLOSE, timeout=1.0)
        except queue.Full:
            return
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        while lines := self._queue.get():
            view = memoryview(lines)
            try:
                while view:
                    view = view[os.write(self._fd, view) :]
            except OSError:
                with self._lock:
                    self.dropped += 1  # the reader has gone; there is nobody to tell
            with self._lock:
                self._waiting_bytes -= len(lines)
