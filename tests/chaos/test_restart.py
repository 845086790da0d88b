"""What was spent stays spent: over a restart, a kill and another configuration."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from crowd import crowd
from gatemill.core.clock import FakeClock
from gatemill.ledger.ledger import Ledger
from peer import ask, body, peer, plain, post
from running import Running, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from gatemill.fake_provider.server import FakeProvider

CALL_MICROUSD = 1001  # one prompt token at 1, 100 answer tokens at 10
SETTLED_S = 60.0  # the promise
PATIENCE_S = 90.0
CONFIG = """
[providers.p]
kind = "openai"
base_url = "{fake}/v1"
api_key = "sk-x"
[models.call]
targets = ["p/fake+words=100"]
[models.hangs]
targets = ["p/fake+hang"]
[prices."p/fake+words=100"]
input = 1
output = 10
[prices."p/fake+hang"]
input = 1
output = 10
[limits.default]
{limits}
"""


@asynccontextmanager
async def _started(tmp_path: Path, config: str) -> AsyncIterator[Running]:
    """A server in a process of its own; starting and stopping do not hold up the provider here."""
    running = serve(tmp_path, config)
    server = await asyncio.to_thread(running.__enter__)
    try:
        yield server
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


async def _statuses(server: Running, count: int) -> list[int]:
    """How requests are answered that come one after the other."""
    request = post(server, body("call", "hi", max_tokens=100))
    return [each.status for each in await crowd([server], [request] * count, 1)]


async def test_a_budget_is_the_same_after_a_restart_and_after_a_kill(
    tmp_path: Path, fake: FakeProvider, say: Callable[[str], None]
):
    budget = f"budgets.total.usd = {(10 * CALL_MICROUSD + 900) / 1e6}"
    config = CONFIG.format(fake=fake.url, limits=budget)
    statuses = []
    for calls, ends in ((4, "terminate"), (3, "kill"), (5, "terminate")):
        async with _started(tmp_path, config) as server:
            statuses += await _statuses(server, calls)
            if ends == "kill":
                server.process.kill()
                await asyncio.to_thread(server.process.wait)
    assert statuses == [200] * 10 + [429] * 2
    say("budget for 10 calls: 4, restart, 3, kill -9, 3 more answered, the next refused")


async def test_a_limit_goes_on_counting_over_a_reload(
    tmp_path: Path, fake: FakeProvider, say: Callable[[str], None]
):
    config = CONFIG.format(fake=fake.url, limits="requests_per_minute = 10")
    async with _started(tmp_path, config) as server:
        assert await _statuses(server, 6) == [200] * 6
        more = '\n[models.more]\ntargets = ["echo/echo"]\n'
        await asyncio.to_thread((tmp_path / "gatemill.toml").write_text, config + more)
        reload = plain(server, "/api/v1/config/reload", "POST", "content-length: 0")
        assert (await ask(server, reload)).status == 200
        assert await _statuses(server, 5) == [200] * 4 + [429]
        assert (await ask(server, post(server, body("more")))).status == 429
    say("10 requests a minute: 6, reload, 4 more answered, the next refused")


async def test_after_a_kill_what_was_answered_is_settled_and_the_rest_within_a_minute(
    tmp_path: Path, fake: FakeProvider, say: Callable[[str], None]
):
    config = CONFIG.format(fake=fake.url, limits="")
    async with _started(tmp_path, config) as server, AsyncExitStack() as stack:
        assert await _statuses(server, 20) == [200] * 20
        for number in range(10):
            client = await stack.enter_async_context(peer(server))
            hangs = body("hangs", "hi", max_tokens=100, stream=number % 2 == 0)
            await client.send(post(server, hangs))
        await fake.journal.wait_for(lambda row: row.sequence == 30, PATIENCE_S)
        server.process.kill()
        await asyncio.to_thread(server.process.wait)
    clock = FakeClock(time.time())
    ledger = Ledger.open(tmp_path / "data", None, clock)
    try:
        rows = await ledger.recent(100)
        found = Counter((row.model, row.unsettled) for row in rows)
        assert found == {("call", False): 20, ("hangs", True): 10}
        assert {row.cost_microusd for row in rows if not row.unsettled} == {CALL_MICROUSD}
        # What nobody knows is counted as the most it can be.
        assert min(row.cost_microusd or 0 for row in rows if row.unsettled) > CALL_MICROUSD
        clock.advance(SETTLED_S)
        async with asyncio.timeout(PATIENCE_S):
            while any(row.unsettled for row in await ledger.recent(100)):
                await asyncio.sleep(0.01)
        assert len(await ledger.recent(100)) == 30
    finally:
        await ledger.close()
    say("kill -9: 20 answered calls are settled, 10 under way unsettled, settled within 60 s")
