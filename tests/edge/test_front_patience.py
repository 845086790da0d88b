"""Slow, silent and stalled peers: each phase has its patience, and nobody else waits for them."""

from __future__ import annotations

import asyncio

import pytest

from crowd import until
from gatemill.edge import front
from peer import PATIENCE_S, ask, body, peer, plain, post

UP = '[providers.held]\nkind = "openai"\nbase_url = "{url}/v1"\napi_key = "sk-x"\n'
HEAD_S, BODY_S, KEEP_S = 20.0, 30.0, 40.0
LIMITS = f"""
[limits]
header_timeout_s = {HEAD_S}
body_idle_s = {BODY_S}
body_bytes_per_s = 1000
keep_alive_s = {KEEP_S}
"""
HASTY = "[limits]\nheader_timeout_s = 0.3\n"
STALLS = "[limits]\nwrite_stall_s = 0.5\n"


async def once(gate, phase: str):
    """The one connection, when it is in this phase."""
    await until(lambda: [each._phase for each in gate.door.connections] == [phase], PATIENCE_S)
    (connection,) = gate.door.connections
    return connection


def looked_at(connection, later_s: float) -> None:
    """As the door looks at it now and then; that it does so by itself, the first test shows."""
    connection.watch(asyncio.get_running_loop().time() + later_s)


async def test_a_connection_that_says_nothing_is_closed(house):
    gate = await house(HASTY)
    async with peer(gate) as client:
        assert await client.rest() == b""
    assert gate.door.connections == set()


async def test_an_idle_connection_is_closed_after_its_patience(house):
    gate = await house(LIMITS)
    async with peer(gate) as client:
        await client.send(post(gate))
        await client.answer()
        connection = await once(gate, "idle")
        looked_at(connection, KEEP_S - 5)
        await client.send(post(gate))
        assert (await client.answer()).status == 200
        looked_at(await once(gate, "idle"), KEEP_S + 1)
        assert await client.rest() == b""


async def test_an_idle_connection_that_uvicorn_has_is_closed(house):
    gate = await house("[limits]\nkeep_alive_s = 0.3\n")
    async with peer(gate) as client:
        await client.send(plain(gate, "/livez"))
        await client.answer()
        assert await client.rest() == b""


async def test_a_slow_head_is_refused(house):
    gate = await house(LIMITS)
    async with peer(gate) as client:
        await client.send(post(gate)[:40])
        connection = await once(gate, "head")
        looked_at(connection, HEAD_S - 5)
        assert gate.door.cut == 0
        looked_at(connection, HEAD_S + 1)
        answer = await client.answer()
        assert (answer.status, answer.code, answer.closes) == (408, "request_timeout", True)
        client.writer.write_eof()
        assert await client.rest() == b""
    assert gate.door.cut == 1


async def test_a_head_that_drips_is_refused(house):
    gate = await house("[limits]\nheader_timeout_s = 1.0\n")
    async with peer(gate) as client:
        reading = asyncio.ensure_future(client.answer())
        for byte in plain(gate, "/" + "x" * 4000):
            client.writer.write(bytes((byte,)))
            if await asyncio.wait({reading}, timeout=0.01) != (set(), {reading}):
                break
        assert (await reading).status == 408


async def test_a_slow_head_on_a_connection_that_uvicorn_has_is_refused(house):
    gate = await house(LIMITS)
    async with peer(gate) as client:
        await client.send(plain(gate, "/livez"))
        await client.answer()
        await client.send(b"GET /li")
        looked_at(await once(gate, "head"), HEAD_S + 1)
        assert (await client.answer()).status == 408


async def test_half_a_head_never_writes_into_the_stream_of_a_connection_that_uvicorn_has(
    house, held
):
    gate = await house(LIMITS + UP.format(url=held.url))
    async with peer(gate) as client:
        await client.send(plain(gate, "/livez"))
        await client.answer()
        await client.send(post(gate, body("held/m", stream=True)) + b"GET /li")
        await client.head()
        await client.chunk()
        looked_at(await once(gate, "head"), HEAD_S + 1)
        held.release()
        assert b"HTTP/1.1 408" not in await client.rest()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/nothing-here"])
async def test_a_body_that_does_not_come_is_refused(house, path):
    gate = await house(LIMITS)
    async with peer(gate) as client:
        await client.send(post(gate, body(), path=path)[:-5])
        looked_at(await once(gate, "body"), BODY_S + 1)
        answer = await client.answer()
        assert answer.status in (408, 404)  # uvicorn answers an unknown path before its body
        client.writer.write_eof()
        assert b"HTTP/1.1" not in await client.rest()


async def test_a_body_that_drips_is_refused(house):
    gate = await house("[limits]\nbody_idle_s = 0.3\nbody_bytes_per_s = 1000\n")
    data = post(gate, body(content="x" * 5000))
    async with peer(gate) as client:
        await client.send(data[:300])
        reading = asyncio.ensure_future(client.answer())
        for at in range(300, len(data)):
            client.writer.write(data[at : at + 1])
            if await asyncio.wait({reading}, timeout=0.01) != (set(), {reading}):
                break
        assert (await reading).status == 408


async def test_a_body_at_the_least_rate_is_accepted(house):
    gate = await house("[limits]\nbody_idle_s = 30\nbody_bytes_per_s = 1000\n")
    data = post(gate, body(content="x" * 5000))
    begins = data.index(b"\r\n\r\n") + 4
    async with peer(gate) as client:
        begun_s = asyncio.get_running_loop().time()
        await client.send(data[:begins])
        connection = await once(gate, "body")
        for at in range(begins + 50, len(data), 50):
            await client.send(data[at - 50 : at])
            async with asyncio.timeout(30):
                while connection._arrival.body_bytes < at - begins:
                    await client.turn()
            connection.watch(begun_s + 30 + (at - begins - 1) / 1000)
        await client.send(data[at:])
        assert (await client.answer()).status == 200


async def test_a_slow_answer_is_not_the_peers_fault(house, held):
    gate = await house(LIMITS + UP.format(url=held.url))
    async with peer(gate) as client:
        await client.send(post(gate, body("held/m")))
        await held.until_asked()
        (connection,) = gate.door.connections
        for later_s in (HEAD_S + 1, BODY_S + 1, KEEP_S + 1):
            looked_at(connection, later_s)
        held.release()
        assert (await client.answer()).status == 200


async def test_a_silent_stream_is_kept_open_by_a_comment_for_each_silence(house, held):
    gate = await house(UP.format(url=held.url))
    async with peer(gate) as client:
        await client.send(post(gate, body("held/m", stream=True)))
        await client.head()
        await client.chunk()
        (connection,) = gate.door.connections
        now_s = asyncio.get_running_loop().time()
        for later_s in (14, 16, 17, 30, 32, 33):
            connection.watch(now_s + later_s)
        held.release()
        body_left = b""
        while data := await client.chunk():
            body_left += data
        assert body_left.count(b": still here\n\n") == 2


async def test_a_peer_that_stops_reading_pauses_its_provider_and_is_cut(house, fake):
    gate = await house(STALLS)
    async with peer(gate, receive_bytes=4096) as client:
        await client.send(post(gate, body("up/fake+words=1000000", stream=True)))
        row = await fake.journal.wait_for(lambda row: row.outcome == "client_left", PATIENCE_S)
    assert row.events_sent < 300_000
    assert gate.door.cut == 1
    assert gate.door.connections == set()


async def test_a_peer_that_stops_reading_on_a_connection_that_uvicorn_has_is_cut(house, fake):
    gate = await house(STALLS)
    async with peer(gate, receive_bytes=4096) as client:
        await client.send(plain(gate, "/livez"))
        await client.answer()
        await client.send(post(gate, body("up/fake+words=1000000", stream=True)))
        row = await fake.journal.wait_for(lambda row: row.outcome == "client_left", PATIENCE_S)
    assert row.events_sent < 300_000


async def test_a_slow_reader_gets_everything(gate, fake):
    async with peer(gate, receive_bytes=4096) as client:
        await client.send(post(gate, body("up/fake+huge=2", stream=True)))
        answer = await client.answer()
        assert len(answer.body) > 2 << 20
        assert answer.body.count(b"data: [DONE]") == 1


async def test_whoever_is_refused_and_stays_is_cut(house, monkeypatch):
    monkeypatch.setattr(front, "LINGER_S", KEEP_S)  # or the door itself might look in between
    gate = await house("[limits]\nbody_bytes = 1000\n")
    async with peer(gate) as client:
        await client.send(post(gate, b"x" * 1001))
        assert (await client.answer()).status == 413
        assert await client.rest() == b""  # the half that we closed
        (connection,) = gate.door.connections
        looked_at(connection, KEEP_S / 2)
        await client.turn()
        assert gate.door.connections == {connection}
        looked_at(connection, KEEP_S + 1)
        await client.turn()
        assert gate.door.connections == set()


async def test_others_are_served_while_many_are_slow(house):
    gate = await house(LIMITS)
    async with peer(gate) as first, peer(gate) as second:
        await first.send(post(gate)[:30])
        await second.send(post(gate)[:-2])
        assert (await ask(gate, post(gate))).status == 200
