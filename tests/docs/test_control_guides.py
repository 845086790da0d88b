"""The guides on limits, usage and explanations are run: each block does what the text around it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from running import Running, serve
from settings_files import loaded

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
NAMES = ("limits-and-budgets", "usage", "explain")
PROVIDER = "[providers.openai]\n"
# What the output of a block has to hold, by guide and place.
EXPECTED = {
    ("limits-and-budgets", 0): ("gm-",),
    ("limits-and-budgets", 1): ("5 at once", "ada", "notebook"),
    ("limits-and-budgets", 2): ('"limit_usd":"120.000000"', '"alert_at":[0.5,0.9]', '"update"'),
    ("usage", 0): ("MODEL", "cost_usd", "requests  "),
    ("usage", 1): ('"object":"usage"', "team_id,requests", '"usage_summary"', '"data":[]'),
    ("explain", 0): ('"seed":"mine-1"', '"status":200'),
    ("explain", 1): ("outcome  200 from the provider", "target   echo/echo"),
    ("explain", 2): ("outcome  200\n", '"attempts":[{"attempt":1'),
}


def blocks(name: str, language: str) -> list[str]:
    text = (GUIDES / f"{name}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory):
    with serve(tmp_path_factory.mktemp("guides")) as started:
        yield started


def _run(running: Running, script: str) -> str:
    known = {
        "GATEMILL_URL": running.url,
        "GATEMILL_API_KEY": running.key,
        "GATEMILL_SERVER__DATA_DIR": str(running.data_dir),
        "GATEMILL_SERVER__DISCOVER": "false",
        "COLUMNS": "200",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("uv run gatemill", _GATEMILL)],
        cwd=running.data_dir,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **known},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


_GATEMILL = f"{sys.executable} -m gatemill"


@pytest.mark.parametrize("name", NAMES)
def test_the_blocks_of_a_guide_do_what_it_says(running: Running, name: str):
    found = blocks(name, "sh")
    assert [key for key in EXPECTED if key[0] == name] == [(name, n) for n in range(len(found))]
    for number, block in enumerate(found):
        out = _run(running, block)
        for text in EXPECTED[name, number]:
            assert text in out, (number, out)


def test_the_configuration_loads(tmp_path: Path):
    (block,) = blocks("limits-and-budgets", "toml")
    settings = loaded(tmp_path, PROVIDER + block).settings
    assert settings.limits.default.budgets.month is not None
    assert settings.models["fast"].limits.concurrency == 50
