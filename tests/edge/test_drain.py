"""Shutting down: no new work, what is under way ends well or with one error, and exit code 0."""

from __future__ import annotations

import asyncio
import signal

import pytest

import heavy
from crowd import until
from house_for_tests import Opened
from line import line
from peer import PATIENCE_S, ask, body, chat, peer, plain, post
from running import serve

FAKE = """
[providers.up]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream-key"
"""


# --- In this process -----------------------------------------------------------------------------


async def test_idle_connections_close_at_once(gate):
    async with peer(gate) as used, peer(gate) as guest:
        await used.send(post(gate))
        await used.answer()
        await guest.send(plain(gate, "/livez"))
        await guest.answer()
        gate.door.drain()
        for client in (used, guest):
            assert await client.rest() == b""
    await gate.door.empty.wait()


async def test_whoever_has_connected_and_not_yet_asked_hears_503(gate):
    async with peer(gate) as fresh:
        await until(lambda: bool(gate.door.connections), PATIENCE_S)
        gate.door.drain()
        assert gate.door.empty.is_set(), "nobody waits for one who may never ask"
        await fresh.send(post(gate))
        answer = await fresh.answer()
        assert (answer.status, answer.code, answer.closes) == (503, "draining", True)


@pytest.mark.parametrize("form", ["front", "uvicorn"])
async def test_a_stream_under_way_ends_well_and_its_connection_closes(gate, fake, form):
    async with peer(gate) as client:
        if form == "uvicorn":
            await client.send(plain(gate, "/livez"))
            await client.answer()
        await client.send(post(gate, body("up/fake+words=5+slow=0.1", stream=True)))
        await client.head()
        gate.door.drain()
        assert not gate.door.empty.is_set()
        rest = await client.rest()
        assert b"data: [DONE]\n\n" in rest
        assert b'"error"' not in rest
    async with asyncio.timeout(PATIENCE_S):
        await gate.door.empty.wait()


async def test_whoever_comes_while_it_ends_is_answered_before_it_has(gate):
    gate.door.drain()
    assert gate.door.empty.is_set(), "nobody was there"
    request = post(gate)
    async with peer(gate) as late:
        await late.send(request[:20])
        await until(lambda: bool(gate.door.connections), PATIENCE_S)
        gate.door.finish()
        assert not gate.door.empty.is_set()
        await late.send(request[20:])
        answer = await late.answer()
        assert (answer.status, answer.code, answer.closes) == (503, "draining", True)
        async with asyncio.timeout(PATIENCE_S):
            await gate.door.empty.wait()


async def test_new_requests_are_told_to_go_elsewhere(gate, fake):
    async with peer(gate) as busy:
        await busy.send(post(gate, body("up/fake+words=9+slow=0.1", stream=True)))
        await busy.head()
        gate.door.drain()
        async with peer(gate) as late:
            await late.send(post(gate))
            answer = await late.answer()
            assert (answer.status, answer.code) == (503, "draining")
            assert answer.headers["retry-after"] == "1"
            assert await late.rest() == b""
        async with peer(gate) as probe:
            await probe.send(plain(gate, "/readyz"))
            answer = await probe.answer()
            assert answer.status == 503
            assert await probe.rest() == b""
        assert (await ask(gate, plain(gate, "/livez"))).status == 200


@pytest.mark.parametrize("form", ["front", "uvicorn"])
async def test_past_the_grace_a_stream_ends_with_one_error_event(gate, fake, form):
    async with peer(gate) as client:
        if form == "uvicorn":
            await client.send(plain(gate, "/livez"))
            await client.answer()
        await client.send(post(gate, body("up/fake+words=99+slow=0.2", stream=True)))
        await client.head()
        await client.chunk()
        gate.door.drain()
        gate.door.stop()
        rest = await client.rest()
        assert rest.count(b'"code":"draining"') == 1
        assert rest.endswith(b"0\r\n\r\n")
        assert b"[DONE]" not in rest
    row = await fake.journal.wait_for(lambda row: row.outcome == "client_left", heavy.within(0.5))
    assert row.phase == "mid_stream"
    await gate.home.ledger.flushed()
    (written,) = await gate.home.ledger.recent(10)
    assert (written.status, written.error) == (503, "draining")


async def test_past_the_grace_a_complete_answer_becomes_a_503(gate, fake):
    async with peer(gate) as client:
        await client.send(post(gate, body("up/fake+hang")))
        await fake.journal.wait_for(lambda row: True, PATIENCE_S)
        gate.door.drain()
        gate.door.stop()
        answer = await client.answer()
        assert (answer.status, answer.code, answer.closes) == (503, "draining", True)
    await fake.journal.wait_for(lambda row: row.outcome == "client_left", heavy.within(0.5))


async def test_an_idle_websocket_is_closed_and_a_busy_one_after_its_answer(gate, fake):
    async with line(gate) as idle, line(gate) as busy:
        await busy.ask("up/fake+words=4+slow=0.1")
        await busy.hear()
        gate.door.drain()
        assert await idle.closed() == 1012
        heard = await busy.answer()
        assert heard[-1]["type"] == "done"
        assert await busy.closed() == 1012
    async with asyncio.timeout(PATIENCE_S):
        await gate.door.empty.wait()


async def test_past_the_grace_an_answer_over_a_websocket_ends_with_an_error(gate, fake):
    async with line(gate) as busy:
        await busy.ask("up/fake+words=99+slow=0.2")
        await busy.hear()
        gate.door.drain()
        gate.door.stop()
        assert (await busy.answer())[-1]["error"]["code"] == "draining"
        assert await busy.closed() == 1012


# --- In a process of its own ----------------------------------------------------------------------


async def _is_ready(gate):
    try:
        answer = await ask(gate, plain(gate, "/readyz", "GET", "connection: close"))
    except (OSError, asyncio.IncompleteReadError):
        return False  # it has ended already
    return answer.status == 200


async def test_sigterm_lets_streams_finish_and_ends_with_0(tmp_path, fake):
    with serve(tmp_path, FAKE.format(url=fake.url)) as running:
        gate = Opened(port=running.port, key=running.key, door=None, home=None)
        async with peer(gate) as client:
            await client.send(post(gate, body("up/fake+words=8+slow=0.1", stream=True)))
            await client.head()
            await client.chunk()
            running.process.send_signal(signal.SIGTERM)
            while await _is_ready(gate):
                pass  # the signal has not arrived yet
            assert b"data: [DONE]\n\n" in await client.rest()
        assert await asyncio.to_thread(running.process.wait, PATIENCE_S) == 0


async def test_past_the_grace_sigterm_still_says_so_and_ends_with_0(tmp_path, fake):
    config = "[server]\ndrain_timeout_s = 0.3\n" + FAKE.format(url=fake.url)
    with serve(tmp_path, config) as running:
        gate = Opened(port=running.port, key=running.key, door=None, home=None)
        async with peer(gate) as client:
            await client.send(post(gate, body("up/fake+words=99+slow=0.3", stream=True)))
            await client.head()
            await client.chunk()
            running.process.send_signal(signal.SIGTERM)
            rest = await client.rest()
        assert rest.count(b'"code":"draining"') == 1
        assert rest.endswith(b"0\r\n\r\n")
        assert await asyncio.to_thread(running.process.wait, PATIENCE_S) == 0
    row = await fake.journal.wait_for(lambda row: row.outcome == "client_left", heavy.within(2))
    assert row.phase == "mid_stream"


async def test_the_last_answer_before_a_drain_is_in_the_ledger(tmp_path, fake):
    with serve(tmp_path, FAKE.format(url=fake.url)) as running:
        gate = Opened(port=running.port, key=running.key, door=None, home=None)
        assert (await chat(gate, "up/fake")).status == 200
        running.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(running.process.wait, PATIENCE_S) == 0
        requests = [said for said in running.lines() if said.get("event") == "request"]
        assert [said["status"] for said in requests] == [200]
