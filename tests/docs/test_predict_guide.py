"""The guide on built-in models: every block does what the text around it says, on a real server."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import warmed
from gatemill.local.builtin.cards import CARDS
from running import Running, serve
from settings_files import loaded

if TYPE_CHECKING:
    from collections.abc import Iterator

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "predict.md").read_text("utf-8")
_BLOCKS = re.compile(r"^```(sh|python|toml)\n(.*?)^```", re.DOTALL | re.MULTILINE)
# What the output of each program has to hold, in their order.
EXPECTED = (
    ('"not_for":', "72 %"),
    ('"label":"positive"', '"label":"negative"', '"version":"1"', '"label":"neutral"'),
    ('"label":"positive"', '"model_version":"builtin/sentiment:1"'),
    ("succeeded", '"failed":0', '"index":2', '"truncated":false'),
    (),
    ('"index":1', "The mill was built in 1820."),
    ("The mill was built in 1820. [1]",),
    (),
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serve(tmp_path_factory.mktemp("guide")) as server:
        yield server


def run(running: Running, language: str, text: str) -> str:
    """Everything that a block writes."""
    text = text.replace("uv run gatemill", warmed.GATEMILL)
    command = ["bash", "-euo", "pipefail", "-c", text]
    if language == "python":
        command = [*warmed.PYTHON, text]
    known = {"GATEMILL_URL": running.url, "GATEMILL_API_KEY": running.key}
    done = subprocess.run(
        command,
        cwd=running.data_dir,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, **known},
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_each_block_does_what_the_guide_says(running: Running):
    found = [block for block in _BLOCKS.findall(GUIDE) if block[0] != "toml"]
    assert len(found) == len(EXPECTED)
    for (language, text), expected in zip(found, EXPECTED, strict=True):
        out = run(running, language, text)
        for each in expected:
            assert each in out, (text, out)


def test_the_configuration_loads(tmp_path: Path):
    (text,) = (block[1] for block in _BLOCKS.findall(GUIDE) if block[0] == "toml")
    settings = loaded(tmp_path, text, {"JINA_API_KEY": "k"}).settings
    assert settings.models["best"].fallbacks == ("builtin/lexical",)


def test_every_model_and_its_figure_is_told():
    assert all(f"`builtin/{name}`" in GUIDE for name in CARDS)
    measured = CARDS["sentiment"].measured
    for figure in re.findall(r"\d+ %|\d+ of the \d+", measured):
        assert figure in GUIDE
