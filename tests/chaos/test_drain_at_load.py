"""A deploy drops nothing: SIGTERM among open streams and a stream of requests."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crowd import until
from gatemill.edge.ending import SAME_S
from house_for_tests import Opened
from peer import ask, body, peer, plain, post
from running import Running, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gatemill.fake_provider.server import FakeProvider

# At length: GATEMILL_TEST_STREAMS=200, with as many requests a second; docs/guides/prove-it.md.
STREAMS = int(os.environ.get("GATEMILL_TEST_STREAMS", "24"))
# Long enough for an answer, also where the machine stands still.
DELAY_S = 0.5 if "GATEMILL_TEST_STREAMS" in os.environ else 3.0
KEPT = 8  # clients that keep their connections; the others come with a new one each time
STREAM = "up/fake+words=6+slow=0.25"
CONFIG = """
[server]
drain_delay_s = {delay_s}
drain_timeout_s = {grace_s}
[providers.up]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream-key"
connections_max = 1000
queue = {{ concurrency_max = 1000 }}
"""


@asynccontextmanager
async def _started(tmp_path: Path, config: str) -> AsyncIterator[tuple[Running, Opened]]:
    starting = serve(tmp_path, config)
    running = await asyncio.to_thread(starting.__enter__)
    try:
        yield running, Opened(port=running.port, key=running.key, door=None, home=None)
    finally:
        await asyncio.to_thread(starting.__exit__, None, None, None)


class Crowd:
    """Requests at a steady rate, whether answered or not, and what became of them."""

    def __init__(self, gate: Opened) -> None:
        self.told: Counter[str] = Counter()
        self.turned_away_s = math.inf  # when somebody was not answered for the first time
        self._gate = gate
        self._over = asyncio.Event()
        self._asking: set[asyncio.Task[None]] = set()

    async def run(self, rate: float) -> None:
        request = post(self._gate, body("echo"))
        kept = [asyncio.ensure_future(self._keep(request, rate)) for _ in range(KEPT)]
        while not await self._paused(1 / rate):
            task = asyncio.ensure_future(self._once(request))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        await asyncio.gather(*kept, *self._asking)

    def stop(self) -> None:
        self._over.set()

    async def _paused(self, pause_s: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), pause_s)
        return self._over.is_set()

    def _take(self, status: int) -> None:
        if status == 200:
            self.told["200"] += 1
        else:
            self._turned_away(str(status))

    def _turned_away(self, how: str) -> None:
        self.told[how] += 1
        self.turned_away_s = min(self.turned_away_s, asyncio.get_running_loop().time())

    async def _once(self, request: bytes) -> None:
        try:
            async with peer(self._gate) as client:
                await client.send(request)
                self._take((await client.answer()).status)
        except ConnectionRefusedError:
            self._turned_away("refused")
        except ConnectionResetError:
            self._turned_away("reset")
        except asyncio.IncompleteReadError:
            self._turned_away("no answer")

    async def _keep(self, request: bytes, rate: float) -> None:
        """As one does who keeps a connection until it is closed, and then makes another."""
        while not self._over.is_set():
            try:
                async with peer(self._gate) as client:
                    closes = False
                    while not closes and not await self._paused(KEPT / rate):
                        if client.reader.at_eof():
                            break
                        await client.send(request)
                        answer = await client.answer()
                        self._take(answer.status)
                        closes = answer.closes
            except ConnectionRefusedError:
                self.told["refused"] += 1
                return
            except ConnectionResetError:
                self.told["reset"] += 1
            except asyncio.IncompleteReadError:
                self.told["closed"] += 1  # between two requests: the client asks again


async def _ready(gate: Opened) -> int:
    try:
        return (await ask(gate, plain(gate, "/readyz", "GET", "connection: close"))).status
    except (OSError, asyncio.IncompleteReadError):
        return 0  # it has ended already


@pytest.mark.parametrize("delay_s", [0, DELAY_S])
async def test_sigterm_at_load_ends_every_stream_well_and_resets_nobody(
    tmp_path: Path, fake: FakeProvider, say: Callable[[str], None], delay_s: float
):
    config = CONFIG.format(url=fake.url, delay_s=delay_s, grace_s=30)
    async with _started(tmp_path, config) as (running, gate), AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(peer(gate)) for _ in range(STREAMS)]
        for client in streams:
            await client.send(post(gate, body(STREAM, stream=True)))
        for client in streams:
            await client.head()
        crowd = Crowd(gate)
        coming = asyncio.ensure_future(crowd.run(float(STREAMS)))
        await until(lambda: crowd.told["200"] >= STREAMS // 2, 60)
        told_s = asyncio.get_running_loop().time()
        running.process.send_signal(signal.SIGTERM)
        while await _ready(gate) == 200:
            pass  # the signal has not arrived yet
        before = crowd.told["200"]
        # With 503 at /readyz requests are answered all the same, until the delay is over.
        await until(lambda: crowd.told["200"] > before or crowd.turned_away_s < math.inf, 60)
        read = [asyncio.ensure_future(client.rest()) for client in streams]
        for whole in await asyncio.gather(*read):
            assert b"data: [DONE]\n\n" in whole
            assert b'"error"' not in whole
        assert await asyncio.to_thread(running.process.wait, 90) == 0
        crowd.stop()
        await coming
    assert crowd.turned_away_s >= told_s + delay_s
    assert crowd.told["reset"] == crowd.told["no answer"] == 0, crowd.told
    assert set(crowd.told) <= {"200", "503", "refused", "closed", "reset", "no answer"}
    say(f"{STREAMS} streams ended well; requests after delay {delay_s}: {dict(crowd.told)}")


async def test_told_twice_it_waits_no_longer(tmp_path: Path, fake: FakeProvider):
    config = CONFIG.format(url=fake.url, delay_s=0, grace_s=60)
    async with _started(tmp_path, config) as (running, gate), peer(gate) as client:
        await client.send(post(gate, body("up/fake+words=999+slow=0.2", stream=True)))
        await client.head()
        running.process.send_signal(signal.SIGTERM)
        running.process.send_signal(signal.SIGINT)  # the same wish, from a terminal
        await until(lambda: any(one["event"] == "draining" for one in running.lines()), 60)
        told_s = asyncio.get_running_loop().time()
        assert (await client.chunk()).startswith(b"data: {")
        await until(lambda: asyncio.get_running_loop().time() > told_s + SAME_S, 10)
        running.process.send_signal(signal.SIGTERM)
        rest = await client.rest()
        assert rest.count(b'"code":"draining"') == 1
        assert await asyncio.to_thread(running.process.wait, 20) == 0
    assert [one["event"] for one in running.lines()].count("drain_hurried") == 1
