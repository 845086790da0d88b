"""A house that runs jobs, asked over real HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from house_for_tests import opened
from jobs_over_http import Keys

CONFIG = """
[models.echo]
targets = ["echo/echo"]
[providers.up]
kind = "openai"
base_url = "{url}/v1"
api_key = "sk-upstream-key"
[jobs]
args_bytes = 20000
attempts_max = 2
backoff_s = 0.01
kinds = ["{kind}"]
"""
KIND = Path(__file__).parent / "held_kind.py"


@pytest.fixture
async def gate(tmp_path, fake):
    config = CONFIG.format(url=fake.url, kind=KIND)
    async with opened(tmp_path, config, works=True) as running:
        yield running


@pytest.fixture
async def keys(ask):
    """Two that share a team, and one that does not."""
    await ask.good("POST", "/api/v1/teams", {"id": "core"})
    made = [{"name": "ada", "team_id": "core"}, {"name": "bob", "team_id": "core"}, {"name": "eve"}]
    found = [(await ask.good("POST", "/api/v1/keys", one))["secret"] for one in made]
    return Keys(*found)
