"""The provider of the soak: answers by script and keeps a meter of its own. Rule: what it counts, it has sent.

`python -m bench.soak_provider PORT IDLE_S`. `GET /meter` tells, for each model, what was asked and what was answered. The gateway's
ledger has to agree with it. It closes a connection on which nothing is asked for IDLE_S seconds, as providers do.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import msgspec
import uvloop
from msgspec import Struct

from gatemill.fake_provider.connection import Connection
from gatemill.fake_provider.delivery import Answer
from gatemill.fake_provider.journal import Journal
from gatemill.fake_provider.server import FakeProvider

if TYPE_CHECKING:
    from gatemill.fake_provider.journal import Row
    from gatemill.fake_provider.steps import End, Request

PATH = "/meter"
_ROWS_KEPT = 1_000  # the meter has counted what is cleared
_BACKLOG = 1024


class Count(Struct):
    """What became of the requests for one model."""

    asked: int = 0
    running: int = 0
    answered: int = 0  # with 200, to the last byte
    left: int = 0  # the gateway went away before the last byte
    prompt_tokens: int = 0  # of those answered
    completion_tokens: int = 0


class Meter(Journal):
    """A journal that counts for ever and remembers little."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, Count] = {}
        self._begun: dict[int, Count] = {}  # by sequence; requests under way

    def changed(self, row: Row) -> None:
        """The row's state is counted: once when it begins, once when it ends."""
        super().changed(row)
        count = self._begun.get(row.sequence)
        if count is None and row.ended_s is None:
            count = self._begun[row.sequence] = self.counts.setdefault(row.model, Count())
            count.asked += 1
            count.running += 1
        if count is not None and row.ended_s is not None:
            del self._begun[row.sequence]
            count.running -= 1
            self._ended(count, row)
        if len(self) > _ROWS_KEPT:
            self.clear()

    def _ended(self, count: Count, row: Row) -> None:
        if row.outcome != "complete":
            count.left += 1
        elif row.status == 200:
            count.answered += 1
            count.prompt_tokens += row.prompt_tokens
            count.completion_tokens += row.completion_tokens


class Kept(Connection):
    """A connection that ends when nothing is asked on it for a while."""

    def __init__(self, provider: FakeProvider, idle_s: float) -> None:
        super().__init__(provider)
        self._idle_s = idle_s
        self._idle: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Bytes of requests; the wait for them is over."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits any longer."""
        if self._idle is not None:
            self._idle.cancel()
        super().connection_lost(exc)

    def _finish(self, end: End) -> None:
        super()._finish(end)
        if self._steps is None and self._idle is None:
            self._idle = self._loop.call_later(self._idle_s, self._transport.close)


class Metered(FakeProvider):
    """The fake provider with a meter."""

    def __init__(self) -> None:
        super().__init__()
        self.meter = self.journal = Meter()

    def _own(self, request: Request) -> Answer | None:
        if request.target == PATH:
            body = msgspec.json.encode(self.meter.counts)
            return Answer(200, [("content-type", "application/json")], body)
        return super()._own(request)


async def serve(port: int, idle_s: float) -> None:
    """Answers until the process is ended."""
    provider = Metered()
    server = await asyncio.get_running_loop().create_server(
        lambda: Kept(provider, idle_s), "127.0.0.1", port, backlog=_BACKLOG
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2])))
