"""The guides on failures and on kept answers: their configuration loads, their commands do what is said."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from running import serve
from settings_files import loaded

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
PROVIDER = '[providers.openai]\napi_key = "sk-test-openai"\n'
VARIABLES = {
    "OPENAI_API_KEY": "sk-test-1",
    "OPENAI_API_KEY_2": "sk-test-2",
    "ANTHROPIC_API_KEY": "sk-ant-test",
}


def blocks(name: str, language: str) -> list[str]:
    text = (GUIDES / f"{name}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


TOML = [
    (name, block)
    for name in ("survive-failures", "cache-answers")
    for block in blocks(name, "toml")
]


@pytest.mark.parametrize(("name", "block"), TOML, ids=range(len(TOML)))
def test_every_configuration_loads(tmp_path: Path, name: str, block: str):
    text = block if "[providers.openai]" in block or "openai/" not in block else PROVIDER + block
    assert loaded(tmp_path, text, VARIABLES).settings


def test_the_simple_breaker_is_what_it_says(tmp_path: Path):
    breaker = loaded(tmp_path, blocks("survive-failures", "toml")[1]).settings.breaker
    assert (breaker.failures, breaker.window_s, breaker.open_s) == (3, 60, 30)


def test_a_repeated_request_is_answered_once(tmp_path: Path):
    (block,) = blocks("cache-answers", "sh")
    with serve(tmp_path) as running:
        known = {"GATEMILL_URL": running.url, "GATEMILL_API_KEY": running.key}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **known},
        )
    assert done.returncode == 0, done.stderr
    lines = [line.strip().lower() for line in done.stdout.splitlines()]
    assert lines == ["http/1.1 200 ok", "http/1.1 200 ok", "idempotent-replayed: true"]
