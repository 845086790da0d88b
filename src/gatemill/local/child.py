"""A model in a child process: started, found again by others, restarted, ended.

Rule: whatever becomes of the child, a request hears of it as of any provider that fails.
"""

from __future__ import annotations

import asyncio
import random
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from msgspec import Struct

from gatemill.core.errors import (
    GatemillError,
    ModelLoadFailed,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gatemill.core.ports import Outgoing
from gatemill.core.tasks import spawn
from gatemill.local import probing, process
from gatemill.local.probing import Address
from gatemill.policy.backoff import pause_s
from gatemill.upstream.pool import Pool
from gatemill.wire import fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.call import Timeouts
    from gatemill.core.ports import Incoming, Source
    from gatemill.local.process import Command, Process
    from gatemill.local.sharing import Place

CONNECTIONS_MAX = 256
_PORTS = range(20_000, 30_000)  # no system gives these to connections
_TRIES = 20
_LOOK_S = 0.05  # between two looks at a child that starts
BACKOFF_S = 0.2
BACKOFF_MAX_S = 30.0
_CALM_S = 60.0  # after so long a life, a child's end is the first again


class Plan(Protocol):
    """How one engine's child is started; `runtimes/torch.py` and `runtimes/command.py` make one."""

    def address(self) -> Address:
        """Where the next child is to listen: free, and nobody else's."""
        ...

    def command(self, address: Address) -> Command:
        """What is run for it."""
        ...

    def ended(self, address: Address) -> None:
        """The child that listened there has ended."""


class Facts(Struct, frozen=True):
    """What all children have in common."""

    name: str  # of the model, as targets say it
    served_name: str  # what the child calls the model
    base_path: str  # before the operation's path: "/v1"
    health: str  # the path that answers 200 when the child is ready
    stats: str  # the path of its figures; "" when it has none
    start_timeout_s: float
    memory_bytes: int = 0  # as configured; 0 asks the child, or the system


class Child:
    """Satisfies local.parts.Runtime. One for each process of ours; the child may be another's."""

    def __init__(self, facts: Facts, plan: Plan, place: Place) -> None:
        self.memory_bytes = facts.memory_bytes
        self.pid: int | None = None  # of the child, where it is ours
        self.restarts = 0
        self.waiting = 0  # nobody waits here: the child has a queue of its own
        self.error = ""  # the last failure, for those who run this machine
        self._facts = facts
        self._plan = plan
        self._place = place
        self._pool: Pool | None = None  # to the child that is ready; None while there is none
        self._process: Process | None = None  # the child, where it is ours
        self._address = Address()  # where it listens
        self._fails = False  # no child could be started lately
        self._task: asyncio.Task[None] | None = None  # brings a child up, or watches ours
        self._change = asyncio.Event()  # set whenever _pool or error may have changed
        self._closed = False

    async def start(self) -> None:
        """The child is ready for the first time. Raises ModelLoadFailed with what it said last."""
        try:
            await self._bring_up()
        except (GatemillError, asyncio.CancelledError):
            await self._down()  # it may have been called off while it did that
            self._place.release()
            raise
        self._task = spawn(self._keep(), f"child {self._facts.name}")

    # --- local.parts.Runtime --------------------------------------------------------------------

    async def exchange(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming:
        """The child's complete answer."""
        pool = await self._ready(timeouts, deadline_s)
        try:
            return await pool.exchange(self._renamed(out), timeouts, deadline_s)
        except UpstreamUnreachable:
            await self._doubt(pool)
            raise

    async def open(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming | Source:
        """The child's stream, or its refusal."""
        pool = await self._ready(timeouts, deadline_s)
        try:
            return await pool.open(self._renamed(out), timeouts, deadline_s)
        except UpstreamUnreachable:
            await self._doubt(pool)
            raise

    async def close(self) -> None:
        """Our child has ended; another's is left alone."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._down()
        self._place.release()

    # --- Inside ---------------------------------------------------------------------------------

    def _renamed(self, out: Outgoing) -> Outgoing:
        facts = self._facts
        body = fields.renamed(out.body, facts.name, facts.served_name)
        return Outgoing(out.path, body, out.headers)

    async def _ready(self, timeouts: Timeouts, deadline_s: float) -> Pool:
        """The way to the child. A child that starts is waited for as long as for a first byte."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(min(deadline_s, loop.time() + timeouts.first_token_s)):
                while self._pool is None:
                    if self._closed:
                        raise UpstreamUnreachable("The model is being unloaded.")
                    if self._fails:
                        raise UpstreamUnreachable("The model's process does not start.")
                    self._change.clear()
                    await self._change.wait()
                return self._pool
        except TimeoutError:
            raise UpstreamTimeout("The model's process did not start in time.") from None

    async def _doubt(self, pool: Pool) -> None:
        """The child did not answer: if it is another's and gone, it is looked for again."""
        if self._process is None and pool is self._pool and not self._closed:
            self._pool = None
            await pool.close()
            self._change.set()
            if self._task is None or self._task.done():
                self._task = spawn(self._keep(), f"child {self._facts.name}")

    async def _keep(self) -> None:
        """Watches our child and starts the next when it ends; for another's, looks for it once."""
        failures = 0
        loop = asyncio.get_running_loop()
        while not self._closed:
            if self._pool is None:
                try:
                    await self._bring_up()
                except GatemillError as error:
                    failures += 1
                    self._fails = True
                    self._change.set()
                    structlog.get_logger().warning(
                        "model_process_failed", model=self._facts.name, reason=error.message
                    )
            child, began_s = self._process, loop.time()
            if self._pool is not None and child is None:
                return  # another's child: whoever misses it calls again
            if child is not None:
                await self._outlive(child)
                failures = 1 if loop.time() - began_s > _CALM_S else failures + 1
                self.restarts += 1
            pause = pause_s(failures, BACKOFF_S, BACKOFF_MAX_S, 0.5 + random.random() / 2)
            await asyncio.sleep(pause)

    async def _outlive(self, child: Process) -> None:
        """Our child has ended by itself, and what it said last is noted."""
        code = await child.wait()
        words = await child.last_words()
        self.error = _ended(code, words)
        structlog.get_logger().warning(
            "model_process_ended", model=self._facts.name, code=code, pid=child.pid
        )
        await self._down()

    async def _bring_up(self) -> None:
        """A child is ready: ours, or that of the process that has the lock. Raises ModelLoadFailed."""
        facts = self._facts
        try:
            async with asyncio.timeout(facts.start_timeout_s):
                while True:
                    if await self._found():
                        return
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            words = await self._process.last_words() if self._process is not None else ""
            await self._down()
            self.error = f"It was not ready within {facts.start_timeout_s:g} s. {words}".strip()
            raise ModelLoadFailed(f"The model `{facts.name}` did not start: {self.error}") from None
        except ModelLoadFailed as error:
            await self._down()
            self.error = error.message
            raise
        except OSError as error:  # no process, no descriptor, no room on the disk
            await self._down()
            self.error = f"The system refused it: {error.strerror or 'no reason'}."
            raise ModelLoadFailed(
                f"The model `{facts.name}` did not start: {self.error}"
            ) from error
        except asyncio.CancelledError:
            await self._down()
            raise

    async def _found(self) -> bool:
        """One look; True once the child answers."""
        if not self._place.take():
            address = self._place.told()
            if address is None or await probing.get(address, self._facts.health) is None:
                return False
            return await self._up(address)
        address = self._plan.address()
        child: Process | None = None
        try:
            child = await process.start(self._plan.command(address))
        finally:
            if child is None:
                self._plan.ended(address)
        self._process, self._address, self.pid = child, address, child.pid
        while await probing.get(address, self._facts.health) is None:
            if not child.is_running:
                code, words = await child.wait(), await child.last_words()
                raise ModelLoadFailed(
                    f"The model `{self._facts.name}` did not start: {_ended(code, words)}"
                )
            await asyncio.sleep(_LOOK_S)
        self._place.tell(address)
        return await self._up(address)

    async def _up(self, address: Address) -> bool:
        facts = self._facts
        self.memory_bytes = facts.memory_bytes or await self._measured(address)
        headers = {"user-agent": "gatemill"}
        if address.token:
            headers["authorization"] = f"Bearer {address.token}"
        self._pool = Pool(
            f"http://127.0.0.1:{address.port or 80}{facts.base_path}",
            tuple(headers.items()),
            connections_max=CONNECTIONS_MAX,
            tls=None,
            socket_path=address.socket_path,
        )
        self.error, self._fails = "", False
        self._change.set()
        return True

    async def _measured(self, address: Address) -> int:
        """What the child says it takes, else what the system says of its process; 0 when nobody knows."""
        if self._facts.stats:
            found = _figures(await probing.get(address, self._facts.stats)).get("memory_bytes")
            if isinstance(found, int):
                return found
        return 0 if self.pid is None else process.resident_bytes(self.pid)

    async def _down(self) -> None:
        """There is no way to a child, and ours has ended. Requests on their way hear of it.

        Where this is called off, the next call goes on with it.
        """
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()
        if self._process is not None:
            await self._process.stop()
            self._process = self.pid = None
            self._plan.ended(self._address)
        self._change.set()


def free_port() -> int:
    """A port of the loopback address that nobody listens on at this moment.

    One that the system names may be that of a connection before the child listens on it; so it is
    named only where nothing else is free.
    """
    for port in (*random.SystemRandom().sample(_PORTS, _TRIES), 0):
        with socket.socket() as found, suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(("127.0.0.1", port))
            name: int = found.getsockname()[1]
            return name
    raise ModelLoadFailed("The system has no port that is free.")


def _ended(code: int, words: str) -> str:
    how = f"by signal {code - 128}" if code > 128 else f"with code {code}"
    return f"its process ended {how}. {words}".strip()


def _figures(body: bytes | None) -> Mapping[str, Any]:
    try:
        return fields.decode_object(body or b"{}")
    except ValueError:  # what msgspec raises, and what is not UTF-8
        return {}
