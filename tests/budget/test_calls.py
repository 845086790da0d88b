"""How much Python runs for one warm request. Counts, because counts do not flicker as times do."""

from __future__ import annotations

import asyncio
import collections
import sys
import threading
from pathlib import Path

import gatemill
from house_for_tests import opened

CALLS_MAX = 150  # of our own functions, for one warm chat; the aim of the design
# Resilience is small pure files (breaker, budget, limit, latency), each read on its own.
FILES_MAX = 36
TIMES = 5
LIMITS_CALLS_MAX = 30  # more, for a key with every kind of limit and two budgets
_OURS = str(Path(gatemill.__file__).parent)
_BODY = b'{"model":"m","messages":[{"role":"user","content":"hello"}]}'
_ANSWER = (
    b'{"id":"x","object":"chat.completion","created":1,"model":"u","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"hi","refusal":null},"logprobs":null,'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
)


async def _upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().rpartition(b"content-length: ")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                % (len(_ANSWER), _ANSWER)
            )
    except asyncio.IncompleteReadError:
        writer.close()


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> bytes:
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer %b\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
        % (key.encode(), len(_BODY), _BODY)
    )
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().rpartition(b"content-length: ")[2].split(b"\r\n")[0])
    return head.split(b"\r\n")[0] + await reader.readexactly(length)


_CONFIG = """
    [providers.p]
    kind = "openai"
    base_url = "http://127.0.0.1:{port}/v1"
    api_key = "sk-test"
    [models.m]
    targets = ["p/u"]
"""
_LIMITS = """
    [prices."p/u"]
    input = 1
    output = 2
    [limits.default]
    requests_per_minute = 1000
    tokens_per_minute = 1000000
    concurrency = 50
    budgets.day.usd = 10
    budgets.month.usd = 100
"""


async def _calls(tmp_path: Path, config: str) -> collections.Counter[tuple[str, str]]:
    """Calls of our own functions for one warm chat, in the event loop's thread.

    The fewest of some: in between the loop may have done what it does once a second.
    """
    upstream = await asyncio.start_server(_upstream, "127.0.0.1", 0)
    port = upstream.sockets[0].getsockname()[1]
    found: list[collections.Counter[tuple[str, str]]] = []

    def count(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(_OURS):
            found[-1][frame.f_code.co_filename, frame.f_code.co_qualname] += 1

    async with opened(tmp_path, config.format(port=port)) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        for _ in range(3):
            assert (await _ask(reader, writer, house.key)).startswith(b"HTTP/1.1 200")
        # Only this thread: the ledger's and the log's threads do not delay a request.
        assert threading.current_thread() is threading.main_thread()
        for _ in range(TIMES):
            found.append(collections.Counter())
            sys.setprofile(count)
            answer = await _ask(reader, writer, house.key)
            sys.setprofile(None)
            assert answer.startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
    upstream.close()
    await upstream.wait_closed()
    return min(found, key=collections.Counter.total)


def _report(counted: collections.Counter[tuple[str, str]]) -> str:
    return "\n".join(f"{n:3} {q} ({Path(f).name})" for (f, q), n in counted.most_common())


async def test_a_warm_chat_stays_within_its_budget_of_python_calls(tmp_path: Path):
    counted = await _calls(tmp_path, _CONFIG)
    assert 0 < counted.total() <= CALLS_MAX, _report(counted)
    assert len({name for name, _ in counted}) <= FILES_MAX, _report(counted)


async def test_limits_and_budgets_cost_a_warm_chat_few_calls_more(tmp_path: Path):
    counted = await _calls(tmp_path, _CONFIG + _LIMITS)
    assert "MemoryLimiter.admit" in _report(counted)
    assert counted.total() <= CALLS_MAX + LIMITS_CALLS_MAX, _report(counted)
