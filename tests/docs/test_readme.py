"""The README is run: each block does what the text around it says."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

import warmed
from running import Running, serve

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    with serve(folder) as started:
        yield started


def _here(text: str, running: Running) -> str:
    """The block, for a server on another port and a command of this environment."""
    port = running.url.rsplit(":", 1)[1]
    return (
        text.replace("8700", port)
        .replace("uv run gatemill", warmed.GATEMILL)
        .replace("data/dev.key", str(running.data_dir / "dev.key"))
        .replace("README.md docs/why.md", f"{ROOT}/README.md {ROOT}/docs/why.md")
    )


def test_the_first_block_starts_the_server(running: Running):
    assert blocks("sh")[0].strip() == "uv run gatemill serve"
    assert running.key


@pytest.mark.parametrize("index", range(1, len(blocks("sh"))))
def test_shell_blocks_print_answers(running: Running, index: int):
    script = _here(blocks("sh")[index], running)
    url = {
        "GATEMILL_URL": running.url,
        "GATEMILL_API_KEY": running.key,
        "GATEMILL_DATA_DIR": str(running.data_dir),
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=running.data_dir,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **url},
    )
    assert done.returncode == 0, done.stderr
    expected = {"v1/chat": "hello", "v1/models": '"echo"', "metrics": "gatemill_requests_total{"}
    for mark, text in expected.items():
        if mark in script:
            assert text in done.stdout, done.stdout
    if "chat " in script:
        assert "hello big world" in done.stdout


@pytest.mark.parametrize("index", range(len(blocks("python"))))
def test_python_blocks_run(running: Running, index: int):
    names: dict[str, Any] = {}
    exec(compile(_here(blocks("python")[index], running), "README.md", "exec"), names)
    names["client"].close()  # or its sockets are found by another test


def test_the_configuration_is_one_that_check_accepts(tmp_path: Path):
    (text,) = blocks("toml")
    assert tomllib.loads(text)
    file = tmp_path / "gatemill.toml"
    file.write_text(text)
    keys = {"OPENAI_API_KEY": "sk-x", "ANTHROPIC_API_KEY": "sk-ant-x"}
    done = subprocess.run(
        [*warmed.GATEMILL.split(), "check", str(file)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **keys},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_test_command_is_the_one_of_ci():
    command = "uv run --extra dev pytest"
    assert command in README
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith(command)


def test_the_number_of_faults_is_true():
    from gatemill.fake_provider.faults import CATALOGUE

    assert f"{len(CATALOGUE)} faults" in README


def test_the_claim_of_speed_is_that_of_the_table():
    claimed = re.search(r"(\d+) times the requests of LiteLLM per CPU second", README)
    row = re.search(r"^\| chat, requests per CPU second .* (\d+)x \|$", README, re.MULTILINE)
    assert claimed is not None
    assert row is not None
    assert claimed[1] == row[1]


def test_the_picture_is_there_for_both_themes():
    assert 'srcset="docs/screenshots/overview-dark.png"' in README
    assert 'src="docs/screenshots/overview-light.png"' in README
