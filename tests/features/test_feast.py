"""The feature server: a small one of ours, and the real one where there is a Python that has it.

GATEMILL_TEST_HEAVY=1 and Feast in this Python, or another one named in FEAST_PYTHON.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import urllib.request
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import pytest

import heavy
from feast_server import ANSWER, Server
from gatemill.core.clock import FakeClock, SystemClock
from gatemill.core.errors import UpstreamBadReply, UpstreamTimeout, UpstreamUnreachable
from gatemill.core.ports import Incoming
from gatemill.features.feast import REST_S, Feast, Known
from gatemill.upstream.pool import Pool

REFS = {"tier": "stats:tier", "age": "stats@v2:age"}
START_S_MAX = 90.0
PYTHON = os.environ.get("FEAST_PYTHON", "")


@asynccontextmanager
async def serving():
    server = Server()
    port = await server.start()
    pool = Pool(f"http://127.0.0.1:{port}", (), connections_max=4, tls=None)
    yield server, pool
    await pool.close()
    await server.stop()


async def test_what_it_is_asked_and_what_its_answer_means():
    async with serving() as (server, pool):
        feast = Feast(pool, 5.0, SystemClock())
        first, second = await feast.online(REFS, "user_id", ["u1", "u2"])
    ((line, asked),) = server.asked
    assert line == "POST /get-online-features HTTP/1.1"
    assert asked == {
        "features": ["stats:tier", "stats@v2:age"],
        "entities": {"user_id": ["u1", "u2"]},
        "full_feature_names": True,
    }
    noon_s = 1_795_262_400.0
    assert first == {
        "age": Known(41.0, noon_s, "PRESENT"),
        "tier": Known(None, noon_s, "NULL_VALUE"),
    }
    assert second == {
        "age": Known(None, None, "NOT_FOUND"),
        "tier": Known(None, None, "OUTSIDE_MAX_AGE"),
    }


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b'"Feature nope not found"'),
        (200, b"no json"),
        (200, b'{"metadata":{"feature_names":[]},"results":[]}'),
        (200, msgspec.json.encode({**ANSWER, "results": ANSWER["results"][:2]})),
    ],
)
async def test_an_answer_that_is_none_is_an_error(status, body):
    async with serving() as (server, pool):
        server.status, server.body = status, body
        feast = Feast(pool, 5.0, SystemClock())
        with pytest.raises(UpstreamBadReply):
            await feast.online(REFS, "user_id", ["u1", "u2"])
        assert (feast.questions, feast.failures) == (1, 1)


async def test_one_that_is_silent_times_out():
    async with serving() as (server, pool):
        server.silent = True
        with pytest.raises(UpstreamTimeout):
            await Feast(pool, 0.05, SystemClock()).online(REFS, "user_id", ["u1"])


class Failing:
    """A transport that fails until it is told not to."""

    def __init__(self):
        self.asked = 0
        self.works = False

    async def exchange(self, out, timeouts, deadline_s):
        self.asked += 1
        if not self.works:
            raise UpstreamUnreachable("It is away.")
        return Incoming(200, {}, msgspec.json.encode(ANSWER))


async def test_one_that_fails_is_left_alone_for_longer_and_longer():
    clock, transport = FakeClock(), Failing()
    feast = Feast(transport, 1.0, clock)

    async def ask():
        with pytest.raises(UpstreamUnreachable):
            await feast.online(REFS, "user_id", ["u1", "u2"])
        return transport.asked

    assert [await ask(), await ask()] == [1, 1]
    clock.advance(REST_S)
    assert [await ask(), await ask()] == [2, 2]
    clock.advance(REST_S)
    assert await ask() == 2
    clock.advance(REST_S)
    assert await ask() == 3
    for _ in range(20):
        clock.advance(60.0)
        await ask()
    assert transport.asked == 23


async def test_once_it_answers_the_next_failure_is_the_first_again():
    clock, transport = FakeClock(), Failing()
    feast = Feast(transport, 1.0, clock)
    for _ in range(3):
        with pytest.raises(UpstreamUnreachable):
            await feast.online(REFS, "user_id", ["u1", "u2"])
        clock.advance(60.0)
    transport.works = True
    await feast.online(REFS, "user_id", ["u1", "u2"])
    transport.works = False
    with pytest.raises(UpstreamUnreachable):
        await feast.online(REFS, "user_id", ["u1", "u2"])
    clock.advance(REST_S)
    asked = transport.asked
    with pytest.raises(UpstreamUnreachable):
        await feast.online(REFS, "user_id", ["u1", "u2"])
    assert transport.asked == asked + 1


# --- The real one -------------------------------------------------------------------------------------


@contextmanager
def real(folder: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    site = Path(__file__).with_name("feast_site.py")
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [PYTHON or sys.executable, str(site), str(folder), str(port)], stdout=log, stderr=log
    )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait()
        log.close()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url + "/health", timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False


@(heavy.needs() if PYTHON else heavy.needs("feast"))
async def test_the_real_server_is_understood(tmp_path):
    with real(tmp_path) as (url, process):
        async with asyncio.timeout(START_S_MAX):
            while not await asyncio.to_thread(answers, url):
                assert process.poll() is None, (tmp_path / "log").read_text()
                await asyncio.sleep(0.5)
        pool = Pool(url, (), connections_max=4, tls=None)
        feast = Feast(pool, 5.0, SystemClock())
        refs = {"tier": "stats:tier", "age": "stats:age", "known": "stats:known"}
        first, second, third = await feast.online(refs, "user_id", ["u1", "u2", "u9"])
        assert {name: (one.value, one.status) for name, one in first.items()} == {
            "tier": ("gold", "PRESENT"),
            "age": (41.0, "PRESENT"),
            "known": (True, "PRESENT"),
        }
        assert first["tier"].event_at is not None
        assert (second["tier"].value, second["tier"].status) == (None, "NULL_VALUE")
        assert {one.status for one in third.values()} == {"NOT_FOUND"}
        with pytest.raises(UpstreamBadReply):
            await feast.online({"x": "stats:nope"}, "user_id", ["u1"])
        await pool.close()
