"""The openai Python SDK with responses in the background, over real sockets."""

from __future__ import annotations

import asyncio

import openai
import pytest

from gatemill.fake_provider import server as fake_provider
from house_for_tests import opened
from sdks import openai_at

CONFIG = """
[providers.open]
kind = "openai"
base_url = "{fake}/v1"
api_key = "sk-upstream-open"
[providers.claude]
kind = "anthropic"
base_url = "{fake}"
api_key = "sk-ant-upstream"
[models.echo]
targets = ["echo/echo"]
[jobs]
attempts_max = 2
backoff_s = 0.01
"""
MODELS = ["echo", "open/fake", "claude/fake"]  # local, native, translated
HELLO = "hello big world"


@pytest.fixture
async def client(tmp_path):
    fake = await fake_provider.start("127.0.0.1", 0)
    try:
        async with (
            opened(tmp_path, CONFIG.format(fake=fake.url), works=True) as gate,
            openai_at(gate.url, gate.key, max_retries=0) as made,
        ):
            yield made
    finally:
        await fake.stop()


async def _ended(client, response):
    async with asyncio.timeout(90):
        while response.status in ("queued", "in_progress"):
            await asyncio.sleep(0.02)
            response = await client.responses.retrieve(response.id)
    return response


@pytest.mark.parametrize("model", MODELS)
async def test_a_response_is_made_while_nobody_waits(client, model):
    response = await client.responses.create(model=model, input=HELLO, background=True)
    assert (response.status, response.background) == ("queued", True)
    done = await _ended(client, response)
    assert (done.id, done.status) == (response.id, "completed")
    assert done.output_text
    assert done.usage.total_tokens > 0


@pytest.mark.parametrize("model", MODELS)
async def test_a_stream_is_left_and_resumed_where_it_was(client, model):
    stream = await client.responses.create(model=model, input=HELLO, background=True, stream=True)
    seen = []
    async for event in stream:
        seen.append(event)
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    response_id = seen[0].response.id
    rest = await client.responses.retrieve(
        response_id, stream=True, starting_after=seen[-1].sequence_number
    )
    seen += [event async for event in rest]
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert seen[-1].type == "response.completed"
    text = "".join(e.delta for e in seen if e.type == "response.output_text.delta")
    done = await client.responses.retrieve(response_id)
    assert text == done.output_text == seen[-1].response.output_text


async def test_a_response_is_cancelled_and_deleted(client):
    response = await client.responses.create(model="open/fake+hang", input=HELLO, background=True)
    gone = await client.responses.cancel(response.id)
    assert (gone.id, gone.status) == (response.id, "cancelled")
    await client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(response.id)


async def test_a_response_that_fails_is_told_with_its_reason(client):
    response = await client.responses.create(
        model="open/fake+status=500", input=HELLO, background=True
    )
    failed = await _ended(client, response)
    assert (failed.status, failed.error.code) == ("failed", "server_error")
    assert failed.error.message


async def test_a_stream_that_breaks_goes_on_with_the_next_attempt(client):
    stream = await client.responses.create(
        model="open/fake+first=1+cut=2", input=HELLO, background=True, stream=True
    )
    events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    begun = [event for event in events if event.type == "response.output_item.added"]
    assert len(begun) == 2, "the second attempt begins anew"
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text


async def test_a_request_that_is_wrong_is_refused_at_once(client):
    with pytest.raises(openai.NotFoundError):
        await client.responses.create(model="nobody", input=HELLO, background=True)
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model="echo", input=HELLO, background=True, store=False)
    assert caught.value.param == "store"
