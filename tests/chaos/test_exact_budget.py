"""A hard budget is never exceeded, and a limit lets exactly its number pass; with one process and with three."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import postgres_service
import redis_service
from gatemill.core.clock import SystemClock
from gatemill.fake_provider import server as fake_provider
from gatemill.ledger.ledger import Ledger
from running import Running, serve

if TYPE_CHECKING:
    from collections.abc import Sequence

CALLERS = 500
CALL_MICROUSD = 1000  # 100 answer tokens at 10; the prompt comes on top
BUDGET_MICROUSD = 101_000
CONFIG = """
[providers.p]
kind = "openai"
base_url = "{fake}/v1"
api_key = "sk-x"
[models.m]
targets = ["p/fake+words=100"]
[prices."p/fake+words=100"]
input = 1
output = 10
[limits.default]
{limits}
{stores}
"""
BODY = json.dumps(
    {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
).encode()


async def _status(port: int, key: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        b"authorization: Bearer %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    )
    writer.write(head % (key.encode(), len(BODY)) + BODY)
    try:
        return int((await reader.read()).split(b" ", 2)[1])
    finally:
        writer.close()


async def _all(servers: Sequence[Running], key: str) -> list[int]:
    ports = [servers[number % len(servers)].port for number in range(CALLERS)]
    return await asyncio.gather(*(_status(port, key) for port in ports))


async def _spent(data_dir: Path, url: str | None) -> tuple[int, int]:
    """Micro-dollars and rows in the ledger, once every server has ended."""
    ledger = Ledger.open(data_dir, url, SystemClock())
    try:
        rows = await ledger.recent(10_000)
        return sum(row.cost_microusd or 0 for row in rows), len(rows)
    finally:
        await ledger.close()


def _budget() -> str:
    return f"budgets.day.usd = {BUDGET_MICROUSD / 1e6}"


async def test_one_process_on_sqlite_spends_the_budget_and_not_a_microdollar_more(tmp_path: Path):
    fake = await fake_provider.start("127.0.0.1", 0)
    try:
        config = CONFIG.format(fake=fake.url, limits=_budget(), stores="")
        with await asyncio.to_thread(ExitStack) as stack:
            server = await asyncio.to_thread(stack.enter_context, serve(tmp_path, config))
            statuses = await _all([server], server.key)
            await asyncio.to_thread(stack.close)
        assert 98 <= statuses.count(200) <= 100
        assert set(statuses) == {200, 429}
        spent, rows = await _spent(tmp_path / "data", None)
        assert spent <= BUDGET_MICROUSD
        assert rows == statuses.count(200)
    finally:
        await fake.stop()


async def test_one_process_lets_exactly_its_limit_pass(tmp_path: Path):
    fake = await fake_provider.start("127.0.0.1", 0)
    try:
        config = CONFIG.format(fake=fake.url, limits="requests_per_minute = 100", stores="")
        with ExitStack() as stack:
            server = await asyncio.to_thread(stack.enter_context, serve(tmp_path, config))
            statuses = await _all([server], server.key)
            await asyncio.to_thread(stack.close)
        assert (statuses.count(200), statuses.count(429)) == (100, CALLERS - 100)
    finally:
        await fake.stop()


@pytest.mark.parametrize("limits", [_budget(), "requests_per_minute = 100"])
async def test_three_processes_on_redis_and_postgres_are_as_exact(tmp_path: Path, limits: str):
    fake = await fake_provider.start("127.0.0.1", 0)
    try:
        with postgres_service.database() as database, redis_service.store() as redis:
            stores = f'[stores]\ndatabase = "{database}"\ncounters = "{redis}"\n'
            config = CONFIG.format(fake=fake.url, limits=limits, stores=stores)
            with ExitStack() as stack:
                servers = [
                    await asyncio.to_thread(stack.enter_context, serve(tmp_path, config))
                    for _ in range(3)
                ]
                statuses = await _all(servers, servers[0].key)
                await asyncio.to_thread(stack.close)
            passed = statuses.count(200)
            assert set(statuses) == {200, 429}
            spent, rows = await _spent(tmp_path / "data", database)
            assert rows == passed
            if "budgets" in limits:
                assert 98 <= passed <= 100
                assert spent <= BUDGET_MICROUSD
            else:
                assert passed == 100
    finally:
        await fake.stop()
