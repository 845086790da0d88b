"""A house whose model has a price, so that money can be spent without a provider."""

from __future__ import annotations

import pytest

from api import api
from house_for_tests import opened

CONFIG = """
[models.echo]
targets = ["echo/echo"]
[prices."echo/echo"]
input = 1000
output = 1000
[models.bounded]
targets = ["echo/echo"]
[models.bounded.limits]
requests_per_minute = 5
[models.bounded.limits.budgets.day]
usd = 3
"""


@pytest.fixture
async def gate(tmp_path):
    async with opened(tmp_path, CONFIG) as running:
        yield running


@pytest.fixture
async def ask(gate):
    """Asks the control routes."""
    async with api(gate) as asking:
        yield asking


@pytest.fixture
async def plain(ask):
    """The secret of a key that is no admin's."""
    return (await ask.good("POST", "/api/v1/keys", {"name": "plain"}))["secret"]
