"""An async generator as a stream that the door can send. Rule: a reader that is slow holds it up."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from gatemill.core.errors import GatemillError
from gatemill.core.tasks import spawn
from gatemill.edge import faults

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from gatemill.core.ports import Sink


class Flow:
    """One stream of whole events; satisfies ports.Stream."""

    def __init__(self, events: AsyncGenerator[bytes, None], request_id: str) -> None:
        self._events = events
        self._request_id = request_id
        self._sink: Sink | None = None  # set by attach, cleared at the end
        self._task: asyncio.Task[None] | None = None
        self._open = asyncio.Event()  # cleared while the caller does not keep up
        self._open.set()
        self._sent = 0

    @property
    def sent_events(self) -> int:
        """Events that have left so far."""
        return self._sent

    def on_end(self, settle: Callable[[GatemillError | None], bytes]) -> None:
        """Nothing was held for it, so nothing is settled."""

    def attach(self, sink: Sink) -> None:
        """The events begin."""
        self._sink = sink
        self._task = spawn(self._run(), "job-events")

    def pause(self) -> None:
        """Stop after the event under way."""
        self._open.clear()

    def resume(self) -> None:
        """Go on."""
        self._open.set()

    def abort(self) -> None:
        """Say nothing more."""
        self._sink = None
        if self._task is not None:
            self._task.cancel()

    def fail(self, error: GatemillError) -> None:
        """End now with this failure."""
        sink = self._sink
        self.abort()
        if sink is not None:
            sink.close(error)

    async def _run(self) -> None:
        error: GatemillError | None = None
        try:
            await faults.shielded(self._pass_on(), self._request_id)
        except GatemillError as failure:
            error = failure
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.close(error)

    async def _pass_on(self) -> None:
        async with aclosing(self._events) as events:
            async for event in events:
                await self._open.wait()
                if self._sink is None:
                    return
                self._sent += 1
                self._sink.feed(event)
