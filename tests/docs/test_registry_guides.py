"""The guides on versions, on labels of one's own and on prompts are run: each block does what the text says."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import warmed
from gatemill.settings.registry import Registry
from running import Running, serve

GUIDES = Path(__file__).parents[2] / "docs" / "guides"


def blocks(guide: str, language: str) -> list[str]:
    text = (GUIDES / guide).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serve(tmp_path_factory.mktemp("registry")) as started:
        yield started


def run(running: Running, command: list[str], folder: Path) -> str:
    known = {
        "GATEMILL_URL": running.url,
        "GATEMILL_API_KEY": running.key,
        "GATEMILL_SERVER__DISCOVER": "false",
        "GATEMILL_SERVER__DATA_DIR": str(running.data_dir),
        "COLUMNS": "200",
    }
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **known},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def shell(running: Running, script: str, folder: Path) -> str:
    ours = script.replace("uv run gatemill", warmed.GATEMILL)
    return run(running, ["bash", "-euo", "pipefail", "-c", ours], folder)


def test_a_model_moves_to_production_and_back(running: Running, tmp_path: Path):
    make, move, back = blocks("model-versions.md", "sh")
    said = shell(running, make, tmp_path)
    assert "mood:1" in said and "mood:2" in said and "builtin:sentiment" in said
    assert re.search(r"mood +classify +mood:2 +- +Praise or blame\?", said)
    said = shell(running, move, tmp_path)
    assert '"version":"mood:1"' in said and '"label":"positive"' in said
    assert "mood@production is mood:2, was mood:1." in said
    said = shell(running, back, tmp_path)
    assert "mood@production is mood:1, was mood:2." in said
    assert said.index("It blames everybody.") < said.index("Better on our tickets.")
    (toml,) = blocks("model-versions.md", "toml")
    options = Registry(**tomllib.loads(toml)["registry"])
    assert options.mlflow_url == "http://127.0.0.1:5000"


def test_labels_of_ones_own_are_classified(running: Running, tmp_path: Path):
    write, train, use = blocks("classify-with-my-own-labels.md", "sh")
    shell(running, write, tmp_path)
    said = shell(running, train, tmp_path)
    assert "tickets:1" in said
    assert re.search(r"\d+\.\d% right \(±\d+\.\d%\) on examples held out", said)
    assert "always the commonest label: 33.3%" in said
    said = shell(running, use, tmp_path)
    labels = re.findall(r'"label":"(\w+)","confidence"', said)
    assert labels == ["billing", "bug"]
    assert "tickets@production is tickets:1." in said


def test_a_prompt_is_made_used_given_to_a_team_and_compared(running: Running, tmp_path: Path):
    make, ask, give, compare = blocks("prompts.md", "sh")
    said = shell(running, make, tmp_path)
    assert "support:1" in said and "system: You answer tickets in French." in said
    assert "1. It crashes." in said and "2. Since today." in said
    said = shell(running, ask, tmp_path)
    assert "1. It crashes." in said
    (python,) = blocks("prompts.md", "python")
    assert "1. It crashes." in run(running, [*warmed.PYTHON, python], tmp_path)
    said = shell(running, give, tmp_path)
    assert "support is for the team support." in said
    assert re.search(r"support +support:1 +production=1 +support +Answers to tickets\.", said)
    assert "support is for everybody." in said
    said = shell(running, compare, tmp_path)
    assert "support:2" in said
    assert "+system: You answer tickets" in said and "Answer in one sentence." in said
