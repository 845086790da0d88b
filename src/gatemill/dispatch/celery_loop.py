"""One event loop for all that is asynchronous in a process of Celery's. Rule: it has a thread of its own.

A loop for each task, as with `asyncio.run`, would build every connection anew.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


class LoopThread:
    """Started by the first who needs it; ends with the process."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result; called from any thread but the loop's, which goes on meanwhile."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._running()).result()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                run = self._loop.run_forever
                threading.Thread(target=run, name="gatemill-loop", daemon=True).start()
            return self._loop
