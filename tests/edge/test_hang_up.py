"""The caller leaves: the provider is told within half a second, in every phase, and it is billed."""

from __future__ import annotations

import asyncio

import pytest

import heavy
from peer import PATIENCE_S, body, peer, plain, post

AT_ONCE_S = heavy.within(0.5)


async def left(fake, phase: str):
    row = await fake.journal.wait_for(lambda row: row.outcome == "client_left", AT_ONCE_S)
    assert row.phase == phase
    return row


async def ledger(gate):
    """The rows of the ledger, newest first."""
    await gate.home.ledger.flushed()
    return await gate.home.ledger.recent(10)


async def until_settled(gate) -> None:
    async with asyncio.timeout(PATIENCE_S), peer(gate) as probe:
        while gate.home.gateway.meter.in_flight:
            await probe.turn()


async def written(gate):
    """The one row that the caller's leaving must have left."""
    await until_settled(gate)
    (row,) = await ledger(gate)
    assert (row.status, row.error) == (499, "client_closed_request")
    assert row.estimated
    assert row.input_tokens > 0
    return row


@pytest.fixture(params=["front", "uvicorn"])
async def client(request, gate):
    """A connection that one or the other server has."""
    async with peer(gate) as made:
        if request.param == "uvicorn":
            await made.send(plain(gate, "/livez"))
            await made.answer()
        yield made


@pytest.mark.parametrize("stream", [False, True])
async def test_before_the_headers(client, gate, fake, stream):
    await client.send(post(gate, body("up/fake+hang", stream=stream)))
    await fake.journal.wait_for(lambda row: True, PATIENCE_S)
    client.reset()
    await left(fake, "before_headers")
    assert (await written(gate)).stream is stream


@pytest.mark.parametrize("stream", [False, True])
async def test_before_the_first_byte(client, gate, fake, stream):
    await client.send(post(gate, body("up/fake+stall=30", stream=stream)))
    await fake.journal.wait_for(lambda row: row.head_s is not None, PATIENCE_S)
    await client.turn()
    client.reset()
    await left(fake, "before_first_byte")
    await written(gate)


async def test_in_the_middle_of_a_stream(client, gate, fake):
    await client.send(post(gate, body("up/fake+words=100+slow=0.1", stream=True)))
    await client.head()
    await client.chunk()
    client.reset()
    await left(fake, "mid_stream")
    assert (await written(gate)).output_tokens >= 1


async def test_in_the_middle_of_a_complete_answer(client, gate, fake):
    await client.send(post(gate, body("up/fake+slow=30")))
    await fake.journal.wait_for(lambda row: row.first_byte_s is not None, PATIENCE_S)
    await client.turn()
    client.reset()
    await left(fake, "mid_stream")
    await written(gate)


async def test_politely(client, gate, fake):
    await client.send(post(gate, body("up/fake+words=100+slow=0.1", stream=True)))
    await client.head()
    client.writer.close()
    await left(fake, "mid_stream")
    await written(gate)


async def test_in_a_translated_stream(client, gate, fake):
    await client.send(
        post(gate, body("claude/fake+words=100+slow=0.1", stream=True, max_tokens=99))
    )
    await client.head()
    await client.chunk()
    client.reset()
    await left(fake, "mid_stream")
    await written(gate)


async def test_with_requests_sent_ahead(gate, fake):
    async with peer(gate) as client:
        await client.send(post(gate, body("up/fake+hang")) + post(gate, body("up/fake")))
        await fake.journal.wait_for(lambda row: True, PATIENCE_S)
        await client.send(post(gate, body("up/fake")))
        client.reset()
        await left(fake, "before_headers")
        await written(gate)
    assert len(fake.journal) == 1


async def test_while_the_body_comes(client, gate, fake):
    await client.send(post(gate, body("up/fake"))[:-3])
    await client.turn()
    client.reset()
    await until_settled(gate)
    assert len(fake.journal) == 0
    assert await ledger(gate) == []


async def test_after_the_answer(client, gate, fake):
    await client.send(post(gate, body("up/fake")))
    await client.answer()
    client.reset()
    await until_settled(gate)
    (row,) = await ledger(gate)
    assert (row.status, row.error) == (200, "")


async def test_the_connection_to_the_provider_is_not_given_to_the_next_caller(gate, fake):
    async with peer(gate) as client:
        await client.send(post(gate, body("up/fake+words=100+slow=0.1", stream=True)))
        await client.head()
        await client.chunk()
        client.reset()
    await left(fake, "mid_stream")
    async with peer(gate) as client:
        await client.send(post(gate, body("up/fake")))
        assert (await client.answer()).status == 200
    assert [row.connection for row in fake.journal] == [1, 2]
