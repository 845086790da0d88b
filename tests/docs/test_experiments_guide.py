"""The guide on experiments: every block does what the text around it says, on a real server."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import warmed
from cli_run import entered
from running import Running, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "experiments.md"
TEXT = GUIDE.read_text(encoding="utf-8")
_BLOCKS = re.compile(r"^```(sh|python|toml)\n(.*?)^```", re.DOTALL | re.MULTILINE)
# What the output of each program has to hold, in their order.
EXPECTED = (
    ("helpful is a draft", "control (50%), talk (50%)", "running"),
    ("x-gatemill-arm: ",),
    ("'counted': True",),
    ("ARM", "talk is better than control", "surely between"),
    ("talk answers everybody", "support asked for longer answers"),
    ("now (90%), cooler (10%)", "now (64%), cooler (36%)", "next (shadow)", "too few values"),
    ('"judge_unclear"', '"prompt_sha256"'),
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    ((_, config),) = [block for block in _BLOCKS.findall(TEXT) if block[0] == "toml"]
    with serve(tmp_path_factory.mktemp("guide"), config) as server:
        yield server


def _known(running: Running) -> dict[str, str]:
    return {
        "GATEMILL_URL": running.url,
        "GATEMILL_API_KEY": running.key,
        "GATEMILL_SERVER__DISCOVER": "false",
        "COLUMNS": "200",
    }


def _run(running: Running, language: str, text: str) -> str:
    script = text.replace("uv run gatemill", warmed.GATEMILL)
    shell = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(
        [*warmed.PYTHON, text] if language == "python" else shell,
        cwd=running.data_dir,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **_known(running)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_blocks_do_what_the_guide_says(running: Running):
    programs = [block for block in _BLOCKS.findall(TEXT) if block[0] != "toml"]
    assert len(programs) == len(EXPECTED)
    for (language, text), expected in zip(programs, EXPECTED, strict=True):
        out = _run(running, language, text)
        for words in expected:
            assert words in out, (words, out)


BAD = (
    (("create", "none.json"), "cannot be read"),
    (("create", "bad.json"), "is no JSON object"),
    (("create", "x", "--arm", "one", "--metric", "m"), "write NAME=VALUE"),
    (("create", "x", "--arm", "a=brief", "--weight", "b=1", "--metric", "m"), "there is no arm b"),
    (("create", "x", "--arm", "a=none", "--arm", "b=brief", "--metric", "m"), "arms.0.model"),
    (("weights", "helpful", "talk=much"), "is no number"),
)


def test_mistakes_on_the_command_line_are_told(
    running: Running,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    gatemill = entered(capsys, monkeypatch, tmp_path)
    known = {"GATEMILL_URL": running.url, "GATEMILL_API_KEY": running.key}
    (tmp_path / "bad.json").write_text("[]")
    for arguments, words in BAD:
        said = gatemill("experiments", *arguments, **known)
        assert said.code == 2, said
        assert words in said.err
    shadow = ("--shadow", "dark=chatty", "--weight", "one=3", "--unit", "key", "--lower", "--json")
    arms = ("--arm", "one=brief", "--margin", "0.5", "--metric", "wait", "--model", "chatty")
    made = gatemill("experiments", "create", "y", *arms, *shadow, **known)
    assert '"weight": 3.0' in made.out
    assert '"direction": "lower"' in made.out
    gone = gatemill("experiments", "rm", "y", **known)
    assert (gone.code, gone.err) == (0, "y is gone.\n")
