"""What has ended is gone at once: nothing of it waits for the garbage collector, which looks seldom."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from contextlib import contextmanager

import pytest

from house_for_tests import opened
from line import line
from peer import ask, body, peer, plain, post

OURS, NOT_HERE = "gatemill.", "gatemill.fake_provider"
TIMES = 3
PATIENCE_S = 60.0
CONFIG = """
[providers.up]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream-key"
[providers.hasty]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream-key"
timeout = {{ first_token_s = 0.05 }}
[retries]
attempts_max = 2
[models.echo]
targets = ["echo/echo"]
[models.kept]
targets = ["up/fake"]
cache = {{ ttl_s = 60 }}
[models.refuses]
targets = ["up/fake+status=503"]
fallbacks = ["echo"]
[models.resets]
targets = ["up/fake+abort"]
fallbacks = ["echo"]
[models.hangs]
targets = ["hasty/fake+hang"]
fallbacks = ["echo"]
[models.cuts]
targets = ["up/fake+words=9+cut=0"]
fallbacks = ["echo"]
"""

# What the start makes, then as many rings as a whole look takes to be due.
DUE = """
import gc
from gatemill.edge import server
held = [[] for _ in range(200_000)]
server._settle_down()
before = gc.get_stats()[2]["collections"]
for _ in range(2_700_000):
    ring = []
    ring.append(ring)
print(gc.get_stats()[2]["collections"] - before)
"""


@pytest.fixture
async def gate(tmp_path, fake):
    async with opened(tmp_path, CONFIG.format(url=fake.url)) as running:
        yield running


@contextmanager
def collected():
    """Takes what the collector finds of ours at the end, by kind; it does not look meanwhile."""
    found: list[str] = []
    gc.collect()
    gc.freeze()  # what earlier tests have made, and what goes with them, is not looked at
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        kinds = [type(each) for each in gc.garbage]
        found += [
            kind.__qualname__
            for kind in kinds
            if kind.__module__.startswith(OURS) and not kind.__module__.startswith(NOT_HERE)
        ]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()  # what is frozen stays so: to look through all that the tests are made of takes a second


async def turns() -> None:
    """What is called soon has been."""
    for _ in range(5):
        await asyncio.sleep(0)


async def at_rest(gate) -> None:
    """Nobody is connected, and no request is under way."""
    async with asyncio.timeout(PATIENCE_S):
        while gate.door.connections or gate.home.gateway.meter.in_flight:
            await turns()
    await turns()


@pytest.mark.parametrize(
    ("model", "stream", "status"),
    [
        ("echo", False, 200),
        ("up/fake", True, 200),
        ("kept", True, 200),
        ("nobody", False, 404),
        ("up/fake+status=500", False, 502),
        ("refuses", False, 200),  # and the fallback answers, as below
        ("resets", True, 200),
        ("hangs", False, 200),
        ("cuts", True, 200),
        ("up/fake+words=9+cut=5", True, 200),  # with an error in the stream
    ],
)
async def test_a_request_leaves_nothing_to_the_collector(gate, model, stream, status):
    with collected() as found:
        for _ in range(TIMES):
            assert (await ask(gate, post(gate, body(model, stream=stream)))).status == status
        await at_rest(gate)
    assert found == []


@pytest.mark.parametrize("model", ["up/fake+stall=30", "up/fake+words=90+slow=0.05"])
async def test_a_caller_who_left_leaves_nothing_to_the_collector(gate, fake, model):
    with collected() as found:
        for _ in range(TIMES):
            async with peer(gate) as client:
                await client.send(post(gate, body(model, stream=True)))
                await fake.journal.wait_for(lambda row: row.head_s is not None, PATIENCE_S)
                await client.turn()
                client.reset()
            await fake.journal.wait_for(lambda row: row.outcome == "client_left", PATIENCE_S)
            fake.journal.clear()
        await at_rest(gate)
    assert found == []


async def test_a_connection_that_was_uvicorns_leaves_nothing_to_the_collector(gate):
    with collected() as found:
        for _ in range(TIMES):
            assert (await ask(gate, plain(gate, "/v1/models"))).status == 200
        await at_rest(gate)
    assert found == []


async def test_a_websocket_leaves_no_connection_of_ours_to_the_collector(gate):
    with collected() as found:
        for _ in range(TIMES):
            async with line(gate) as ours:
                await ours.ask()
                assert (await ours.answer())[-1]["type"] == "done"
        await at_rest(gate)
    # uvicorn's own objects hold each other, and the loan with them; it leads to nobody.
    assert set(found) <= {"Lent"}


def test_the_collector_looks_at_everything_now_and_then_however_much_the_start_made():
    looks = subprocess.run([sys.executable, "-c", DUE], capture_output=True, check=True, text=True)
    assert int(looks.stdout) >= 1
