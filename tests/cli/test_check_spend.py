"""`gatemill check --spend`: each target is asked for one token, and what it answers is judged."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from cli_run import Command, Result
from gatemill.fake_provider import server as fake_provider

FAULTS = ("auth", "status=404", "context-length", "quota", "status=429", "abort")
TARGETS = ("fake", *(f"fake+{fault}" for fault in FAULTS))
CONFIG = """
[server]
direct_models = false
[stores]
database = "postgresql://127.0.0.1:1/nowhere"
counters = "redis://127.0.0.1:1/0"
[providers.open]
kind = "openai"
base_url = "{url}/v1"
api_key = "${{SOME_KEY}}"
[models.here]
targets = ["echo/echo"]
[models."any-*"]
targets = ["open/*"]
"""


@pytest.fixture
async def provider():
    running = await fake_provider.start("127.0.0.1", 0)
    yield running
    await running.stop()


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def checked(gatemill: Command, *options: str) -> Result:
    return await asyncio.to_thread(gatemill, "check", *options, "--json", SOME_KEY="sk-1")


async def test_each_target_is_asked_once_for_one_token_and_its_answer_is_judged(
    provider, gatemill: Command, tmp_path: Path
):
    models = "".join(
        f'[models.m{number}]\ntargets = ["open/{name}", "open/fake"]\n'
        for number, name in enumerate(TARGETS)
    )
    file = tmp_path / "gatemill.toml"
    file.write_text(CONFIG.format(url=provider.url) + models)
    assert (await checked(gatemill)).code == 0
    assert list(provider.journal) == []
    done = await checked(gatemill, "--spend")
    assert done.code == 1, done
    found = {one["subject"]: one for one in msgspec.json.decode(done.out)["findings"][1:]}
    assert [(one.removeprefix("open/"), found[one]["mark"]) for one in found] == [
        ("fake", "✓"),
        ("fake+auth", "✗"),
        ("fake+status=404", "✗"),
        ("fake+context-length", "!"),
        ("fake+quota", "✗"),
        ("fake+status=429", "!"),
        ("fake+abort", "✗"),
    ]
    assert found["open/fake"]["text"] == "answered; its price is not known"
    assert found["open/fake"]["latency_ms"] > 0
    assert "upstream_auth_failed" in found["open/fake+auth"]["text"]
    assert found["open/fake+auth"]["fix"] == "correct providers.open, or the target in [models]"
    assert "does not know this model" in found["open/fake+status=404"]["text"]
    assert "no model for chat" in found["open/fake+context-length"]["fix"]
    assert "fill up" in found["open/fake+quota"]["fix"]
    assert found["open/fake+status=429"]["fix"] == "try again later"
    bodies = [row.body for row in provider.journal]
    assert sorted(body["model"] for body in bodies) == sorted(TARGETS)
    assert {body["max_completion_tokens"] for body in bodies} == {1}
    assert names(tmp_path) == ["gatemill.toml"]
