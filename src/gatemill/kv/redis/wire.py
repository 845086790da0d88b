"""One socket to Redis that any number of callers share.

Rule: replies come in the order of the commands, and a caller who gave up changes nothing about that:
his reply is read and dropped, so no other caller can ever see it. There is no pool to run out of.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from gatemill.core.errors import StartRefused

try:
    from hiredis import ProtocolError, Reader, ReplyError, pack_command
except ImportError as error:  # the extra is not installed
    raise StartRefused('Redis needs two packages: pip install "gatemill[redis]".') from error

if TYPE_CHECKING:
    from collections.abc import Callable

    Word = str | bytes | int | float
    Reply = Any  # bytes, int, None, a list of these, or a ReplyError

__all__ = ["Away", "Reply", "ReplyError", "Wire", "Word"]

WAITING_MAX = 10_000  # commands without a reply; Redis answers about 50,000 in a second
QUEUED_S_MAX = 0.5  # behind other commands, of a Redis that does answer
_SECOND_LOOK_S = 0.002


class Away(Exception):
    """Redis did not answer in time, or not at all, or with an error. `reason` is a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Wire(asyncio.Protocol):
    """One connection. `failed(reason)` is called when a reply is late, and when the socket closes."""

    def __init__(self, late_s: float, failed: Callable[[Wire, str], None]) -> None:
        """A reply is late when the wire has been silent for `late_s` seconds since its command.

        Behind many others it may take longer, QUEUED_S_MAX if that is more: a burst of 500 callers
        is 20 ms of Redis' work, and on a busy machine more; that is no reason to do without it.
        """
        self.is_open = False
        self._late_s = late_s
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = Reader()
        self._waiting: deque[tuple[asyncio.Future[Reply], float]] = deque()  # at most WAITING_MAX
        self._unsent: list[bytes] = []  # of this turn of the loop
        self._timer: asyncio.TimerHandle | None = None
        self._heard_s = 0.0  # loop time of the last reply

    def ask(self, *words: Word) -> asyncio.Future[Reply]:
        """The reply to come; a ReplyError is a value. Raises Away when the wire cannot take more."""
        if not self.is_open:
            raise Away("not connected")
        if len(self._waiting) >= WAITING_MAX:
            raise Away("too many commands wait")
        future = self._loop.create_future()
        now_s = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_at(now_s + self._late_s, self._look)
        self._waiting.append((future, now_s))
        # One write for all commands of a turn: 10 against 15 us of CPU per command with 50 callers.
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(pack_command(cast("tuple[Any]", words)))
        return future

    def abandon(self, reason: str) -> None:
        """Nobody waits any longer. Replies that still come are dropped."""
        for future, _ in self._waiting:
            if not future.done():
                future.set_exception(Away(reason))

    def close(self) -> None:
        """The socket is released at once; whoever waits is told."""
        self.is_open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self.abandon("closed")
        self._waiting.clear()

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._transport is not None:
            self._transport.write(b"".join(unsent))

    # The first command waits longest, so one timer watches all of them.

    def _look(self) -> None:
        overdue_s = self._oldest_s()
        if overdue_s is None:
            self._timer = None
        elif overdue_s < 0:
            self._timer = self._loop.call_later(-overdue_s, self._look)
        else:
            # Where this process itself was busy, the reply may be in the socket's buffer, unread:
            # the loop runs timers first and reads afterwards.
            self._timer = self._loop.call_later(_SECOND_LOOK_S, self._judge)

    def _judge(self) -> None:
        self._timer = None
        overdue_s = self._oldest_s()
        if overdue_s is None:
            return
        if overdue_s < 0:
            self._timer = self._loop.call_later(-overdue_s, self._look)
        else:
            self._failed(self, "no reply in time")

    def _oldest_s(self) -> float | None:
        """Seconds by which the first reply is late; negative before that, None without any."""
        for future, asked_s in self._waiting:
            if not future.done() or future.cancelled():
                silent_s = max(asked_s, self._heard_s) + self._late_s
                queued_s = max(self._late_s, QUEUED_S_MAX)
                return self._loop.time() - min(silent_s, asked_s + queued_s)
        return None

    # --- asyncio.Protocol ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready."""
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Every complete reply goes to the caller whose command is the oldest."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                future, _ = self._waiting.popleft()
                if not future.done():
                    future.set_result(reply)
            self._heard_s = self._loop.time()
        except (ProtocolError, IndexError):
            self._lost("the other side does not speak Redis' protocol")

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits is told."""
        if self.is_open:
            self._lost("connection closed")

    def _lost(self, reason: str) -> None:
        self.close()
        self._failed(self, reason)
