"""Lines to standard output from a thread, so that a slow reader never stops the event loop.

Rule: bounded; what does not fit is counted and dropped, and the next line says how many.
"""

from __future__ import annotations

import os
import queue
import threading

LINES_MAX = 10_000  # batches waiting for the thread
_CLOSE = b""


class LineWriter:
    """Writes batches of lines to a file descriptor, in order."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._queue: queue.Queue[bytes] = queue.Queue(LINES_MAX)
        self.dropped = 0  # batches; written by write, read by metrics
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, lines: bytes) -> None:
        """Hand over lines that end in LF; returns at once."""
        if not lines:
            return
        try:
            self._queue.put_nowait(lines)
        except queue.Full:
            self.dropped += 1

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
                self.dropped += 1  # the reader has gone; there is nobody to tell
