"""Half heads, dripping bodies and streams that nobody reads: cut in time, and nobody else notices."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from peer import ask, body, peer, post
from running import serve

PEERS = int(os.environ.get("GATEMILL_TEST_PEERS", "40"))  # half heads; 2,000 is the long form
DRIPPING, UNREAD = PEERS // 4, PEERS // 10
PATIENCE_S = 5.0  # more than this process stands still between a connection and its request
LATE_S = 15.0  # that a busy machine may add
RSS_BYTES_MAX = 150_000_000
CONFIG = """
[providers.up]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream-key"
connections_max = 2000
[limits]
header_timeout_s = {patience}
body_idle_s = {patience}
write_stall_s = {patience}
body_bytes_per_s = 1024
"""


async def test_slow_and_silent_peers_are_cut_and_cost_nobody_else_anything(tmp_path, fake, say):
    config = CONFIG.format(url=fake.url, patience=PATIENCE_S)
    with serve(tmp_path, config) as running:
        before_s = await _asked(running)
        rss_bytes = _rss_bytes(running.process.pid)
        async with asyncio.TaskGroup() as group:
            slow = [
                *(group.create_task(_half_head(running)) for _ in range(PEERS)),
                *(group.create_task(_dripping(running)) for _ in range(DRIPPING)),
                *(group.create_task(_unread(running)) for _ in range(UNREAD)),
            ]
            meanwhile_s = await group.create_task(_asked(running))
            more_bytes = _rss_bytes(running.process.pid) - rss_bytes
        cut_s = [task.result() for task in slow]
        after_s = await _asked(running)
    say(
        f"{PEERS} half heads, {DRIPPING} dripping bodies, {UNREAD} unread streams:"
        f" all cut within {max(cut_s):.1f} s, +{more_bytes / 1e6:.0f} MB;"
        f" slowest of 50 others {before_s * 1e3:.0f} ms before,"
        f" {meanwhile_s * 1e3:.0f} meanwhile, {after_s * 1e3:.0f} after"
    )
    assert max(cut_s) < PATIENCE_S + LATE_S
    assert more_bytes < RSS_BYTES_MAX


async def _asked(running) -> float:
    """The slowest of 50 good requests, in seconds; all are answered."""
    loop = asyncio.get_running_loop()
    slowest_s = 0.0
    for _ in range(50):
        began_s = loop.time()
        assert (await ask(running, post(running))).status == 200
        slowest_s = max(slowest_s, loop.time() - began_s)
    return slowest_s


async def _half_head(running) -> float:
    """Seconds until it is refused."""
    async with peer(running) as client:
        await client.send(post(running)[:40])
        return await _cut(client, 408)


async def _dripping(running) -> float:
    async with peer(running) as client:
        await client.send(post(running)[:-5])
        return await _cut(client, 408)


async def _cut(client, status: int) -> float:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    async with asyncio.timeout(PATIENCE_S + LATE_S):
        head = await client.reader.readuntil(b"\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status), head
    return loop.time() - began_s


async def _unread(running) -> float:
    """Seconds from the first byte until nobody streams to it any more."""
    loop = asyncio.get_running_loop()
    async with peer(running, receive_bytes=4096) as client:
        await client.send(post(running, body("up/fake+huge=8", stream=True)))
        client.writer.transport.pause_reading()
        began_s = loop.time()
        async with asyncio.timeout(PATIENCE_S + LATE_S):
            # What is sent to a connection that is gone fails; until then it waits in the door.
            while not client.writer.transport.is_closing():
                client.writer.write(b" ")
                await asyncio.wait((loop.create_future(),), timeout=0.2)
        return loop.time() - began_s


def _rss_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
