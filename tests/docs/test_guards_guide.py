"""The guide on guards: every block does what the text around it says, on a real server."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import warmed
from running import Running, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "guards.md"
# What the output of each block has to hold, in their order.
EXPECTED = (
    (
        "x-gatemill-guards: input;pii;email;restore;1;16",
        "Write to anna@example.org",
        '"code":"content_filter"',
        '"findings"',
    ),
    ("input:size=8000 output:pii=mask", "input:secrets=mask", "red (red)"),
)


def blocks(language: str) -> list[str]:
    text = GUIDE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serve(tmp_path_factory.mktemp("guards"), "\n".join(blocks("toml"))) as started:
        yield started


def test_the_blocks_of_the_guide_do_what_it_says(running: Running) -> None:
    known = {"GATEMILL_URL": running.url, "GATEMILL_API_KEY": running.key, "COLUMNS": "200"}
    found = blocks("sh")
    assert len(found) == len(EXPECTED)
    for number, (script, texts) in enumerate(zip(found, EXPECTED, strict=True)):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script.replace("uv run gatemill", warmed.GATEMILL)],
            cwd=running.data_dir,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env={**os.environ, **known},
        )
        assert done.returncode == 0, done.stdout
        for text in texts:
            assert text in done.stdout, (number, done.stdout)
