"""A provider without a socket: answers come from a function. Used by `echo`.

Rule: same seam as the pool, so everything above is tested by either.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

from gatemill.core.ports import Incoming

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.call import Timeouts
    from gatemill.core.clock import Clock
    from gatemill.core.ports import Outgoing, Sink, Source


class Function(Protocol):
    """Answers a request at once: a complete answer, or the events of a stream."""

    def __call__(self, out: Outgoing, now_s: float) -> Incoming | Sequence[bytes]:
        """`now_s` is Unix time."""
        ...


class Inline:
    """A transport around a function; satisfies ports.Transport. Timeouts have nothing to limit."""

    def __init__(self, function: Function, clock: Clock) -> None:
        self._function = function
        self._clock = clock

    async def exchange(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming:
        """The function's answer."""
        answer = self._function(out, self._clock.unix_s())
        assert isinstance(answer, Incoming)
        return answer

    async def open(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming | Source:
        """A source of the function's events, or its complete answer (a refusal)."""
        answer = self._function(out, self._clock.unix_s())
        return answer if isinstance(answer, Incoming) else Events(answer)

    async def close(self) -> None:
        """Nothing is held."""


class Events:
    """Events pushed one a loop turn, as a network would bring them."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = deque(parts)
        self._sink: Sink | None = None  # set by attach, cleared at the end or by abort
        self._paused = False
        self._loop = asyncio.get_running_loop()

    def attach(self, sink: Sink) -> None:
        """Start pushing in the next loop turn."""
        self._sink = sink
        self._loop.call_soon(self._push)

    def pause(self) -> None:
        """Stop after the event under way."""
        self._paused = True

    def resume(self) -> None:
        """Go on."""
        if self._paused:
            self._paused = False
            self._loop.call_soon(self._push)

    def abort(self) -> None:
        """Say nothing more."""
        self._sink = None

    def _push(self) -> None:
        sink = self._sink
        if sink is None or self._paused:
            return
        if self._parts:
            sink.feed(self._parts.popleft())
            self._loop.call_soon(self._push)
        else:
            self._sink = None
            sink.close(None)
