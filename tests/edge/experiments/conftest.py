"""A house whose models an experiment can split."""

from __future__ import annotations

import pytest

CONFIG = """
[models.a]
targets = ["echo/echo"]
[models.b]
targets = ["echo/echo"]
[models.split.experiment]
by = "user"
[models.split.experiment.arms]
v1 = { model = "a", weight = 1 }
v2 = { model = "b", weight = 1, params = { max_completion_tokens = 1 } }
"""


@pytest.fixture
async def gate(house):
    return await house(CONFIG)


@pytest.fixture
async def plain(ask):
    """A key that is no admin's."""
    return (await ask.good("POST", "/api/v1/keys", {"name": "plain"}))["secret"]
