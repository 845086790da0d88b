"""OpenAI's own client and its batches, unchanged, against a server that is killed half-way."""

from __future__ import annotations

import asyncio
import json

import openai
import pytest

import databases
import openai_contract
from batch_play import jsonl, line
from gatemill.fake_provider import server as fake_provider
from running import serve
from sdks import openai_at

LINES = 1000
ENDED = ("completed", "failed", "expired", "cancelled")
PATIENCE_S = 120.0
CONFIG = """
[providers.up]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream"
[models.fast]
targets = ["up/fake+first-byte=0.05"]
[models.refusing]
targets = ["up/fake+content-policy"]
[prices."up/fake+first-byte=0.05"]
input = 1.0
output = 2.0
[batches]
part_lines = 100
[jobs]
lease_s = 2.0
beat_s = 0.5
poll_s = 0.1
"""
BAD = [
    lambda name: b"this is no JSON",
    lambda name: line(name, model="unknown"),
    lambda name: line(name, model="refusing"),
    lambda name: line(name, temperature="hot"),
    lambda name: line(name) | {"url": "/v1/embeddings"},
    lambda name: {"custom_id": name, "method": "POST", "url": "/v1/chat/completions"},
]


@pytest.fixture
async def fake():
    provider = await fake_provider.start("127.0.0.1", 0)
    yield provider
    await provider.stop()


@pytest.fixture(params=databases.KINDS)
def environ(request, tmp_path):
    with databases.empty(request.param, tmp_path) as place:
        yield {"GATEMILL_STORES__DATABASE": place.url} if place.url else {}


def client(running):
    return openai_at(running.url, running.key, max_retries=0)


def asked(fake):
    """How many good lines the provider has seen."""
    return sum("first-byte" in row.model for row in fake.journal)


class Watch:
    """What a batch said of itself, every time that somebody looked."""

    def __init__(self):
        self.counts = [(0, 0, 0)]

    async def until(self, ask, batch_id, holds):
        """The batch, once it holds. Its counts have never fallen."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                batch = await ask.batches.retrieve(batch_id)
                openai_contract.validate("Batch", batch.to_dict())
                counts = batch.request_counts
                assert counts is not None
                self.counts.append((counts.total, counts.completed, counts.failed))
                assert self.counts[-1] >= self.counts[-2]
                assert counts.completed + counts.failed <= counts.total
                assert counts.completed >= self.counts[-2][1]
                assert counts.failed >= self.counts[-2][2]
                if holds(batch):
                    return batch
                await asyncio.sleep(0.05)  # as a client asks


async def read(ask, file_id):
    content = await ask.files.content(file_id)
    return [json.loads(each) for each in content.text.splitlines()]


async def test_a_batch_outlives_a_server_that_is_killed_half_way(tmp_path, fake, environ):
    names = [f"request-{number:04}" for number in range(LINES)]
    bad = {number: BAD[number % len(BAD)] for number in range(5, LINES, 27)}
    lines = [bad[n](name) if n in bad else line(name, text=name) for n, name in enumerate(names)]
    assert len(bad) == 37
    config, watch = CONFIG.format(url=fake.url), Watch()
    with serve(tmp_path, config, **environ) as first:
        async with client(first) as ask:
            file = await ask.files.create(file=("in.jsonl", jsonl(lines)), purpose="batch")
            openai_contract.validate("OpenAIFile", file.to_dict())
            batch = await ask.batches.create(
                input_file_id=file.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={"story": "killed"},
            )
            half = await watch.until(
                ask, batch.id, lambda one: one.request_counts.completed >= LINES // 2
            )
            first.process.kill()
            first.process.wait()
            before = asked(fake)
    assert half.status == "in_progress"
    with serve(tmp_path, config, **environ) as second:
        async with client(second) as ask:
            batch = await watch.until(ask, batch.id, lambda one: one.status in ENDED)
            output = await read(ask, batch.output_file_id)
            errors = await read(ask, batch.error_file_id)
    assert batch.status == "completed"
    assert watch.counts[-1] == (1000, 963, 37)
    good = [name for number, name in enumerate(names) if number not in bad]
    assert [one["custom_id"] for one in output] == good
    for one in output:
        assert one["response"]["body"]["object"] == "chat.completion"
    assert len(errors) == 37
    told = [one["custom_id"] for one in errors]
    assert [name for name in told if name] == [names[number] for number in bad if number % len(BAD)]
    # What was counted before the kill was not asked again. What two parts had sent by then, 16 lines
    # each, may have been in the provider's sockets still.
    assert before < asked(fake) <= before + 2 * 16 + 963 - half.request_counts.completed


async def test_a_batch_is_cancelled_with_what_it_has(tmp_path, fake):
    lines = [line(f"request-{number}") for number in range(LINES)]
    # It takes ten seconds, so that nobody is so late that there is nothing left to cancel.
    config = CONFIG.format(url=fake.url).replace("first-byte=0.05", "first-byte=0.3")
    with serve(tmp_path, config) as running:
        async with client(running) as ask:
            file = await ask.files.create(file=("in.jsonl", jsonl(lines)), purpose="batch")
            batch = await ask.batches.create(
                input_file_id=file.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
            )
            watch = Watch()
            await watch.until(ask, batch.id, lambda one: one.request_counts.completed >= 100)
            assert (await ask.batches.cancel(batch.id)).status == "cancelling"
            batch = await watch.until(ask, batch.id, lambda one: one.status in ENDED)
            output = await read(ask, batch.output_file_id)
            errors = await read(ask, batch.error_file_id)
            listed = [one.id async for one in ask.batches.list()]
            with pytest.raises(openai.ConflictError):
                second = await ask.batches.create(
                    input_file_id=file.id,
                    endpoint="/v1/chat/completions",
                    completion_window="24h",
                )
                await ask.files.delete(file.id)
            await ask.batches.cancel(second.id)
    assert (batch.status, listed) == ("cancelled", [batch.id])
    assert 100 <= len(output) < LINES
    assert len(output) + len(errors) == LINES
    assert {one["error"]["code"] for one in errors} == {"batch_cancelled"}


async def test_bad_input_is_told_and_leaves_nothing(tmp_path, fake):
    config = CONFIG.format(url=fake.url) + "[files]\nbytes_max = 100000\n"
    with serve(tmp_path, config) as running:
        async with client(running) as ask:
            with pytest.raises(openai.APIStatusError) as caught:
                await ask.files.create(file=("in.jsonl", b"x" * 100_001), purpose="batch")
            assert caught.value.status_code == 413
            with pytest.raises(openai.BadRequestError):
                await ask.files.create(file=("in.jsonl", b"x"), purpose="odd")
            assert [one async for one in ask.files.list()] == []
            for missing in (ask.files.retrieve, ask.files.content, ask.files.delete):
                with pytest.raises(openai.NotFoundError):
                    await missing("file-of-somebody-else")
            for missing in (ask.batches.retrieve, ask.batches.cancel):
                with pytest.raises(openai.NotFoundError):
                    await missing("batch_of_somebody_else")
            with pytest.raises(openai.NotFoundError):
                await ask.batches.create(
                    input_file_id="file-of-somebody-else",
                    endpoint="/v1/chat/completions",
                    completion_window="24h",
                )
            twice = jsonl([line("a"), line("b"), line("a")])
            file = await ask.files.create(file=("in.jsonl", twice), purpose="batch")
            batch = await ask.batches.create(
                input_file_id=file.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
            )
            batch = await Watch().until(ask, batch.id, lambda one: one.status in ENDED)
            await ask.files.delete(file.id)
            assert [one async for one in ask.files.list()] == []
    assert batch.status == "failed"
    assert [(one.code, one.line) for one in batch.errors.data] == [("duplicate_custom_id", 3)]
    assert len(fake.journal) == 0
