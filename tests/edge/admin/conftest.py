"""A house whose models have a price, with a fake provider behind it."""

from __future__ import annotations

import pytest

from house_for_tests import opened

CONFIG = """
[providers.up]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream-key"
[models.echo]
targets = ["up/fake"]
[prices."up/fake"]
input = 1000
output = 1000
[models.bounded]
targets = ["up/fake"]
[models.bounded.limits]
requests_per_minute = 5
[models.bounded.limits.budgets.day]
usd = 30
"""


@pytest.fixture
async def gate(tmp_path, fake):
    async with opened(tmp_path, CONFIG.format(url=fake.url)) as running:
        yield running


@pytest.fixture
async def plain(ask):
    """The secret of a key that is no admin's."""
    return (await ask.good("POST", "/api/v1/keys", {"name": "plain"}))["secret"]
