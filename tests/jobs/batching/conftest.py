"""A place where batches run, and a provider that is slow, stuck or full where a model says so."""

from __future__ import annotations

import pytest

import databases
from batch_play import key_of
from crews import working
from gatemill.fake_provider import server as fake_provider

CONFIG = """
[providers.up]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream"
[models.fast]
targets = ["up/fake"]
[models.slow]
targets = ["up/fake+first-byte=0.2"]
[models.stuck]
targets = ["up/fake+hang"]
[models.refusing]
targets = ["up/fake+content-policy"]
[models.limiting]
targets = ["up/fake+first=2+status=429+retry-after=1"]
[models.failing]
targets = ["up/fake+status=500"]
[models.pretty]
targets = ["echo/echo"]
[prices."up/fake"]
input = 1.0
output = 2.0
[batches]
part_lines = 4
concurrency = 3
[jobs]
backoff_s = 0.05
poll_s = 0.1
"""


@pytest.fixture
async def fake():
    provider = await fake_provider.start("127.0.0.1", 0)
    yield provider
    await provider.stop()


@pytest.fixture
def config(fake):
    return CONFIG.format(url=fake.url)


@pytest.fixture(params=databases.KINDS)
def database(request, tmp_path):
    with databases.empty(request.param, tmp_path) as place:
        yield {"GATEMILL_STORES__DATABASE": place.url} if place.url else {}


@pytest.fixture
async def site(tmp_path, config):
    async with working(tmp_path, config) as opened:
        yield opened


@pytest.fixture
async def key(site):
    return await key_of(site.services)
