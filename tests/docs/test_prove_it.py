"""The guide on proofs names tests that exist, in words that they say, and its first command is run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from running import serve

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "prove-it.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


def test_every_test_that_is_named_exists():
    named = re.findall(r"\btests/[\w/.]+\b", GUIDE)
    assert len(named) > 8
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_first_command_prints_what_is_said(tmp_path):
    (config,) = blocks("toml")
    with serve(tmp_path, config) as running:
        script = blocks("sh")[0].replace("127.0.0.1:8700", f"127.0.0.1:{running.port}")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == blocks("text")[0].split()
