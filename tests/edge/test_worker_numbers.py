"""/metrics of any of several processes tells the numbers of all, and what was counted never falls."""

from __future__ import annotations

import asyncio
import os
import signal

from prometheus_client.parser import text_string_to_metric_families

import redis_service
from house_for_tests import Opened
from peer import ask, body, peer, plain, post
from running import serve

ECHO = '[models.echo]\ntargets = ["echo/echo"]\n'
PATIENCE_S = 60.0
ASKED = 30


async def _scraped(gate) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = await ask(gate, plain(gate, "/metrics"))
    assert answer.status == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def _sum(seen, name, **labels: str) -> float:
    wanted = set(labels.items())
    return sum(
        value for (known, found), value in seen.items() if known == name and wanted <= set(found)
    )


async def _until(gate, true):
    """The numbers, once they are as wanted; none that counts has ever fallen meanwhile."""
    before: dict = {}
    async with asyncio.timeout(PATIENCE_S):
        while True:
            seen = await _scraped(gate)
            fallen = {key for key, value in before.items() if seen.get(key, 0.0) < value}
            assert not fallen, fallen
            if true(seen):
                return seen
            before = {
                key: value for key, value in seen.items() if key[0].endswith(("_total", "_bucket"))
            }
            await asyncio.sleep(0.05)


async def test_any_of_three_tells_of_all_and_the_dead_still_count(tmp_path):
    with (
        redis_service.store() as url,
        serve(
            tmp_path, ECHO, GATEMILL_SERVER__WORKERS="3", GATEMILL_STORES__COUNTERS=url
        ) as running,
    ):
        gate = Opened(port=running.port, key=running.key, door=None, home=None)
        seen = await _until(gate, lambda it: _sum(it, "gatemill_processes") == 3)
        for _ in range(ASKED):
            async with peer(gate) as client:  # a connection each: they are spread over the three
                await client.send(post(gate, body("echo")))
                assert (await client.answer()).status == 200

        def all_told(it) -> bool:
            return _sum(it, "gatemill_requests_total", operation="chat") == ASKED

        seen = await _until(gate, all_told)
        assert _sum(seen, "gatemill_request_duration_seconds_count", operation="chat") == ASKED
        assert _sum(seen, "gatemill_overhead_seconds_count", operation="chat") == ASKED
        assert _sum(seen, "gatemill_attempts_total", provider="echo", outcome="ok") == ASKED
        await _until(gate, lambda it: _sum(it, "gatemill_ledger_rows_written_total") == ASKED)
        assert _sum(seen, "gatemill_build_info") == 1
        assert _sum(seen, "gatemill_target_state", target="echo/echo") == 0
        started = [line for line in running.lines() if line["event"] == "worker_started"]
        (pid,) = [line["worker_pid"] for line in started if line["worker"] == 2]
        os.kill(pid, signal.SIGKILL)

        def replaced(it) -> bool:
            died = [line for line in running.lines() if line["event"] == "worker_died"]
            return bool(died) and _sum(it, "gatemill_processes") == 3 and all_told(it)

        again = await _until(gate, replaced)
        assert _sum(again, "gatemill_overhead_seconds_count", operation="chat") == ASKED
    assert running.process.returncode == 0
