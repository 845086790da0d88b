"""The guide on attacks and harm: every block does what the text around it says, on a real server."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import msgspec
import pytest

import warmed
from gatemill.guards import injection
from gatemill.upstream import hook
from running import serve
from settings_files import loaded

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "moderate.md").read_text("utf-8")
_BLOCKS = re.compile(r"^```(sh|python|toml|json)\n(.*?)^```", re.DOTALL | re.MULTILINE)
BLOCKS = _BLOCKS.findall(GUIDE)


def of(language):
    return [text for name, text in BLOCKS if name == language]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("guide"), of("toml")[0]) as server:
        yield server


def run(running, command):
    known = {"GATEMILL_URL": running.url, "GATEMILL_API_KEY": running.key}
    return subprocess.run(
        command,
        cwd=running.data_dir,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        env={**os.environ, **known},
    ).stdout


def test_the_attack_is_refused_without_its_words(running):
    (text,) = of("sh")
    said = run(running, ["bash", "-euo", "pipefail", "-c", text])
    assert '"content_filter"' in said
    assert "injection" in said
    assert "previous instructions" not in said


@pytest.mark.parametrize("number", range(len(of("python"))))
def test_each_program_runs(running, number):
    run(running, [*warmed.PYTHON, of("python")[number]])


@pytest.mark.parametrize("number", range(len(of("toml"))))
def test_each_configuration_loads(tmp_path, number):
    settings = loaded(tmp_path, of("toml")[number], {"OPENAI_API_KEY": "k"}).settings
    assert settings.guards.input


def test_the_answers_of_a_hook_are_those_that_are_read():
    asked, *answers = of("json")
    assert set(msgspec.json.decode(asked)) == {"side", "texts", "request_id", "key_id", "model"}
    for answer in answers:
        hook._judged.decode(answer)


def test_every_kind_is_told():
    assert all(f"| `{kind}` |" in GUIDE for kind in injection.KINDS)
    assert f"by default {injection.THRESHOLD}" in GUIDE
