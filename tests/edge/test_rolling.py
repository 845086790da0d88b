"""Workers are replaced one by one, at load: no request fails, and other code and settings are in effect."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import msgspec
import pytest

import redis_service
from crowd import until
from house_for_tests import Opened
from peer import ask, body, peer, plain, post
from running import serve

UP = """
[server]
openapi = {openapi}
[providers.up]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream-key"
"""
CLIENTS = int(os.environ.get("GATEMILL_TEST_CLIENTS", "2"))
STREAMS = 8
LOOK_S = 0.05  # a log tells nobody that it grows; to read it without a pause takes a processor


@pytest.fixture
def counters():
    with redis_service.store() as url:
        yield {"GATEMILL_SERVER__WORKERS": "2", "GATEMILL_STORES__COUNTERS": url}


def _events(running, name):
    # At load, lines of several workers are torn by each other; those looked for here are short.
    found = re.findall(rb'{[^{}]*"event":"%b"[^{}]*}' % name.encode(), running.log.read_bytes())
    return [msgspec.json.decode(line) for line in found]


async def _heard(running, name, count=1):
    for _ in range(round(180 / LOOK_S)):
        if len(found := _events(running, name)) >= count:
            return found
        await asyncio.sleep(LOOK_S)
    raise AssertionError(f"{name} is not in {running.log.read_text()[-2000:]}")


async def _over(over):
    """Whether it is over, after a moment: what is shown is that none fails, not how many there are."""
    with suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), 0.02)
    return over.is_set()


@asynccontextmanager
async def _load(gate, answers):
    """Clients that ask again and again, each on a connection that it keeps as long as it may."""
    over = asyncio.Event()

    async def call():
        while not over.is_set():
            async with peer(gate) as client:
                closes = False
                while not closes and not await _over(over):
                    await client.send(post(gate, body("echo")))
                    answer = await client.answer()
                    answers.append(answer.status)
                    closes = answer.closes

    clients = [asyncio.ensure_future(call()) for _ in range(CLIENTS)]
    try:
        yield
    finally:
        over.set()
        await asyncio.gather(*clients)


async def _who(gate):
    """The processes that answer: their part of a request id."""
    answers = [await ask(gate, plain(gate, "/v1/models")) for _ in range(24)]
    return {answer.headers["x-request-id"][15:27] for answer in answers}


async def _docs(gate):
    return [(await ask(gate, plain(gate, "/openapi.json"))).status for _ in range(8)]


async def test_workers_are_replaced_at_load_and_no_request_fails(tmp_path, counters, fake):
    file = tmp_path / "gatemill.toml"
    starting = serve(tmp_path, UP.format(url=fake.url, openapi="true"), **counters)
    running = await asyncio.to_thread(starting.__enter__)
    try:
        await _heard(running, "workers_ready")
        gate = Opened(port=running.port, key=running.key, door=None, home=None)
        before, answers = await _who(gate), []
        assert set(await _docs(gate)) == {200}
        async with AsyncExitStack() as stack:
            streams = [await stack.enter_async_context(peer(gate)) for _ in range(STREAMS)]
            for client in streams:
                await client.send(post(gate, body("up/fake+words=12+slow=0.25", stream=True)))
                await client.head()
            # Only a start reads this one; what the supervisor itself holds stays as it is.
            file.write_text(UP.format(url=fake.url, openapi="false\nworkers = 5"))
            async with _load(gate, answers):
                running.process.send_signal(signal.SIGUSR2)
                await _heard(running, "workers_replaced")
                seen = len(answers)
                await until(lambda: len(answers) >= seen + 20, 60)
            for client in streams:
                whole = b""
                while more := await client.chunk():
                    whole += more
                assert b"data: [DONE]\n\n" in whole
                assert b'"error"' not in whole
        assert set(answers) == {200}
        assert set(await _docs(gate)) == {404}
        left = await _heard(running, "worker_left", 2)
        assert [one["exit_code"] for one in left] == [0, 0]
        after = await _who(gate)
        assert len(after) == 2
        assert not after & before

        # One that does not start replaces nobody, and nobody hears of it.
        file.write_text("[server]\nprot = 1\n")
        running.process.send_signal(signal.SIGUSR2)
        (refused,) = await _heard(running, "workers_not_replaced")
        assert "server.prot: unknown key" in refused["words"]
        assert await _who(gate) == after

        # While the file is broken, one that dies is replaced by what the others run.
        os.kill(_events(running, "worker_replaced")[0]["worker_pid"], signal.SIGKILL)
        ready = await _heard(running, "ready", 5)
        assert ready[4]["config"] == ready[3]["config"]
        assert len(await _who(gate)) == 2
    finally:
        await asyncio.to_thread(starting.__exit__, None, None, None)
    assert running.process.returncode == 0


async def test_one_process_alone_says_that_it_cannot_be_replaced(tmp_path):
    starting = serve(tmp_path)
    running = await asyncio.to_thread(starting.__enter__)
    running.process.send_signal(signal.SIGUSR2)
    (said,) = await _heard(running, "restart_needs_workers")
    assert "--workers" in said["fix"]
    await asyncio.to_thread(starting.__exit__, None, None, None)
