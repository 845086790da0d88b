"""kill -9 of one of several workers at load: only what it had in hand fails, and soon there is another."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import redis_service
from children import lives
from crowd import until
from house_for_tests import Opened
from peer import ask, body, post
from running import Running, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gatemill.fake_provider.server import FakeProvider

# At length: GATEMILL_TEST_RATE=200, requests a second; docs/guides/prove-it.md.
RATE = float(os.environ.get("GATEMILL_TEST_RATE", "50"))
REPLACED_S_MAX = 2.0
PATIENCE_S = 60.0
CONFIG = """
[providers.up]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream-key"
connections_max = 1000
queue = {{ concurrency_max = 1000 }}
"""


class Crowd:
    """Requests at a steady rate, whether answered or not, each on a connection of its own."""

    def __init__(self, gate: Opened) -> None:
        self.under_way: set[int] = set()
        self.told: list[int] = []
        self.failed: set[int] = set()
        self.calls: list[asyncio.Task[None]] = []
        self._gate = gate
        self._request = post(gate, body("up/fake+slow=0.15"))

    async def come(self, count: int) -> None:
        never = asyncio.Event()
        for _ in range(count):
            self.calls.append(asyncio.ensure_future(self._call(len(self.calls))))
            with suppress(TimeoutError):
                await asyncio.wait_for(never.wait(), 1 / RATE)

    async def _call(self, number: int) -> None:
        self.under_way.add(number)
        try:
            self.told.append((await ask(self._gate, self._request)).status)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.failed.add(number)
        self.under_way.discard(number)


def _events(running: Running, name: str) -> list[dict[str, object]]:
    return [line for line in running.lines() if line["event"] == name]


def _await_death(pid: int) -> None:
    """It takes no more requests. Nobody asks meanwhile, since the loop stands still."""
    given_up_s = time.monotonic() + PATIENCE_S
    while lives(pid):
        assert time.monotonic() < given_up_s


async def test_a_worker_that_is_killed_fails_at_most_what_it_had_in_hand(
    tmp_path: Path, fake: FakeProvider, say: Callable[[str], None]
):
    with redis_service.store() as url:
        env = {"GATEMILL_SERVER__WORKERS": "2", "GATEMILL_STORES__COUNTERS": url}
        starting = serve(tmp_path, CONFIG.format(url=fake.url), **env)
        running = await asyncio.to_thread(starting.__enter__)
        try:
            await until(lambda: bool(_events(running, "workers_ready")), 60)
            started = _events(running, "worker_started")
            (pid,) = [int(str(one["worker_pid"])) for one in started if one["worker"] == 1]
            crowd = Crowd(Opened(port=running.port, key=running.key, door=None, home=None))
            await crowd.come(round(RATE))
            os.kill(pid, signal.SIGKILL)
            _await_death(pid)
            then = crowd.under_way.copy()
            await crowd.come(round(RATE))
            await asyncio.gather(*crowd.calls)
            await until(lambda: len(_events(running, "ready")) >= 3, 60)
        finally:
            await asyncio.to_thread(starting.__exit__, None, None, None)
    # Who came later, while nobody was there to answer, waited for the next one.
    assert crowd.failed <= then
    assert set(crowd.told) == {200}
    assert len(crowd.told) + len(crowd.failed) == len(crowd.calls)
    (died,) = _events(running, "worker_died")
    took_s = float(str(_events(running, "ready")[-1]["ts"])) - float(str(died["ts"]))
    if "GATEMILL_TEST_RATE" in os.environ:  # on a machine that does nothing else
        assert took_s < REPLACED_S_MAX
    say(
        f"{len(crowd.calls)} requests at {RATE:g}/s: {len(crowd.failed)} failed, of {len(then)} under"
        f" way in two workers; replaced in {took_s:.1f} s"
    )
