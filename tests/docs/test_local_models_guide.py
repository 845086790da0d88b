"""The guide on models of this machine: its programs do what it says, and all of its TOML loads."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import warmed
from gatemill.core.errors import UpstreamInterrupted, UpstreamUnreachable
from gatemill.local.child import BACKOFF_MAX_S, BACKOFF_S
from gatemill.local.options import LOG_BYTES
from gatemill.settings import load
from running import Running, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

GUIDE = (Path(__file__).parents[2] / "docs/guides/local-models.md").read_text(encoding="utf-8")
_BLOCKS = re.compile(r"^```(sh|python|toml|text)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(*languages: str) -> list[tuple[str, str]]:
    return [(lang, text) for lang, text in _BLOCKS.findall(GUIDE) if lang in languages]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config = blocks("toml")[0][1]
    ours = f'"{sys.executable}", "-m", "gatemill"'
    assert '"gatemill"' in config
    with serve(tmp_path_factory.mktemp("guide"), config.replace('"gatemill"', ours)) as server:
        yield server


def test_the_programs_do_what_the_guide_says(running: Running) -> None:
    expected = {
        "sh": ("Hello from fake-provider.", '"state":"ready"', '"restarts":0'),
        "python": ("upstream_interrupted\nHello from fake-provider.\n",),
    }
    found = blocks("sh", "python")
    assert [language for language, _ in found] == list(expected)
    for language, text in found:
        command = ["bash", "-euc", text] if language == "sh" else [*warmed.PYTHON, text]
        known = {"GATEMILL_URL": running.url, "GATEMILL_API_KEY": running.key}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, **known}
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for words in expected[language]:
            assert words in done.stdout, done.stdout


@pytest.mark.parametrize("text", [text for _, text in blocks("toml")])
def test_every_configuration_loads(text: str, tmp_path: Path) -> None:
    file = tmp_path / "gatemill.toml"
    file.write_text(text)
    settings = load(file, {"GATEMILL_SERVER__DISCOVER": "false"}, {}, lister=None).settings
    assert settings.local or settings.providers


def test_the_figures_are_those_of_the_code() -> None:
    assert f"pauses grow from {BACKOFF_S} to {BACKOFF_MAX_S:.0f} s" in GUIDE
    assert f"`log_bytes` ({LOG_BYTES >> 20} MiB)" in GUIDE
    assert f"`{UpstreamInterrupted.code}` event" in GUIDE
    assert f"`{UpstreamUnreachable.code}`" in GUIDE
