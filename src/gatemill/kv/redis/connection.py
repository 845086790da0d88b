"""Redis as the rest of this folder sees it: it answers within a deadline, or it is away.

Rule: while Redis is away nobody waits for it. The first late reply sends everybody off at once; one
probe a second, in the background, finds out when it is back. A frozen Redis is a stopped Redis.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from typing import TYPE_CHECKING

import structlog
from msgspec import Struct

from gatemill.core.tasks import spawn
from gatemill.kv.redis.wire import Away, ReplyError, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.core.redis_address import Address
    from gatemill.kv.redis.wire import Reply, Word

__all__ = ["DEADLINE_S", "Away", "Connection", "Script", "script"]

DEADLINE_S = 0.05
PROBE_S = 1.0  # between two probes, and the patience of one
SILENT_S_MAX = 5.0  # a connection that says nothing for so long is given up for a new one


class Script(Struct, frozen=True):
    """A Lua script and the name that Redis gives it."""

    text: str
    sha: str


def script(text: str) -> Script:
    """The script, named."""
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


class Connection:
    """One shared connection. All counters are for metrics; they only grow, but for `away`."""

    def __init__(
        self,
        address: Address,
        returned: Callable[[], None] | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """`returned` is called each time Redis is back. Nothing is connected yet: `open` does that.

        Redis is away when it has been silent for `deadline_s`.
        """
        self.calls = 0
        self.timeouts = 0
        self.away = 1
        self.times_away = 0
        self.returned = returned
        self._address = address
        self._deadline_s = deadline_s
        self._wire: Wire | None = None
        self._probe: asyncio.Task[None] | None = None
        self._probed_s = float("-inf")  # loop time of the last probe
        self._silent_since_s = 0.0
        self._closed = False

    async def open(self) -> bool:
        """Whether Redis answers now. If not, it is away, and probes go on until it is back."""
        self._silent_since_s = asyncio.get_running_loop().time()
        if not await self._answers():
            self._leave("no connection at the start")
            return False
        self.away = 0
        return True

    async def call(self, *words: Word) -> Reply:
        """The reply to one command. Raises Away; the command may be run nevertheless.

        That is DEADLINE_S after Redis fell silent, and QUEUED_S_MAX after the command at the latest.
        """
        if self.away:
            raise Away("away")
        assert self._wire is not None
        self.calls += 1
        reply = await self._wire.ask(*words)
        if reply.__class__ is ReplyError:
            raise self._refused(reply)
        return reply

    async def run(self, program: Script, key: str, *words: Word) -> Reply:
        """The reply of a script that owns `key` and every name that begins with it. Raises Away."""
        reply = await self.start(program, key, *words)
        if reply.__class__ is ReplyError:
            if not str(reply).startswith("NOSCRIPT"):
                raise self._refused(reply)
            return await self.call("EVAL", program.text, 1, key, *words)
        return reply

    def start(self, program: Script, key: str, *words: Word) -> asyncio.Future[Reply]:
        """The reply to come, in which an error is a value. Raises Away, and the reply may."""
        if self.away:
            raise Away("away")
        assert self._wire is not None
        self.calls += 1
        return self._wire.ask("EVALSHA", program.sha, 1, key, *words)

    async def close(self) -> None:
        """The socket is released and no probe runs."""
        self._closed = True
        self.away = 1
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)
        self._drop()

    # --- Away and back --------------------------------------------------------------------------------

    def _refused(self, reply: ReplyError) -> Away:
        # LOADING, READONLY, OOM and their kind: a Redis that does not serve is away. The next probe
        # comes a second later, so that one which greets well and then refuses is not asked in a loop.
        reason = str(reply).split(" ", 1)[0]
        self._probed_s = asyncio.get_running_loop().time()
        self._leave(reason)
        return Away(reason)

    def _failed(self, wire: Wire, reason: str) -> None:
        if wire is not self._wire:
            return  # given up before
        if not wire.is_open:
            self._wire = None
        self._leave(reason)

    def _leave(self, reason: str) -> None:
        if self._wire is not None:
            if not self.away:
                self._silent_since_s = asyncio.get_running_loop().time()
            self._wire.abandon(reason)
        if self._closed or self._probe is not None:
            return
        self.away = 1
        self.times_away += 1
        self.timeouts += reason == "no reply in time"
        structlog.get_logger().warning("redis_away", address=self._address.label, reason=reason)
        self._probe = spawn(self._return(), "redis-probe")

    async def _return(self) -> None:
        loop = asyncio.get_running_loop()
        since_s = loop.time()
        while True:
            await asyncio.sleep(self._probed_s + PROBE_S - loop.time())
            self._probed_s = loop.time()
            if await self._answers():
                break
        self._probe = None
        self.away = 0
        structlog.get_logger().info(
            "redis_back", address=self._address.label, away_s=round(loop.time() - since_s, 3)
        )
        if self.returned is not None:
            self.returned()

    async def _answers(self) -> bool:
        """Whether a probe is answered.

        The old connection is asked first: what it still carries is then done before anything that is
        sent from now on.
        """
        loop = asyncio.get_running_loop()
        if self._wire is not None and loop.time() - self._silent_since_s > SILENT_S_MAX:
            self._drop()
        try:
            async with asyncio.timeout(PROBE_S):
                if self._wire is None:
                    self._wire = await self._connect()
                    self._silent_since_s = loop.time()
                reply = await self._wire.ask("PING")
        except (Away, OSError):  # OSError: also TimeoutError and ssl.SSLError
            return False
        return reply.__class__ is not ReplyError

    async def _connect(self) -> Wire:
        """A connection that has introduced itself. Raises Away, OSError."""
        to = self._address
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_connection(
            lambda: Wire(self._deadline_s, self._failed),
            to.host,
            to.port,
            ssl=ssl.create_default_context() if to.tls else None,
        )
        greetings = [("CLIENT", "SETNAME", "gatemill"), ("SELECT", str(to.database))]
        if to.password:
            greetings.insert(0, ("AUTH", to.user or "default", to.password))
        refused: list[Reply] | None = None
        try:
            replies = await asyncio.gather(*[wire.ask(*words) for words in greetings])
            refused = [reply for reply in replies if reply.__class__ is ReplyError]
        finally:
            if refused is None or refused:
                wire.close()
        if refused:
            raise Away(str(refused[0]).split(" ", 1)[0])
        return wire

    def _drop(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None
