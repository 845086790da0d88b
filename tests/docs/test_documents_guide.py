"""The guide on answers from documents: every block does what it says, over this repository's own pages."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import warmed
from gatemill.settings import load
from running import Running, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "answers-from-documents.md").read_text(encoding="utf-8")
_BLOCKS = re.compile(r"^```(sh|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
# What the output of each program has to hold, in their order.
EXPECTED = (
    ('"object":"vector_store"', '"name":"docs"'),
    ('"failed":0',),
    (
        *('"citations":[{"n":1,', '"cited":[1', '"model":"builtin/extract"', "jobs.md"),
        "after two deaths it runs in a process apart",
    ),
    ("event: citations", '"object":"chat.completion.chunk"', "event: done"),
    ('"answer":null', '"rerank_score":0.', "limits-and-budgets.md"),
    ("limits-and-budgets.md",),
    ('"state":"succeeded"', '"report":"', '"failed":0'),
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serve(tmp_path_factory.mktemp("guide")) as server:
        yield server


def run(running: Running, language: str, text: str) -> str:
    """Everything that it writes."""
    text = text.replace("uv run gatemill", warmed.GATEMILL)
    command = ["bash", "-euo", "pipefail", "-c", text]
    if language == "python":
        command = [*warmed.PYTHON, text]
    known = {"GATEMILL_URL": running.url, "GATEMILL_API_KEY": running.key, "COLUMNS": "200"}
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, **known},
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_programs_of_the_guide_do_what_it_says(running: Running) -> None:
    found = _BLOCKS.findall(GUIDE)
    assert len(found) == len(EXPECTED)
    for number, ((language, text), texts) in enumerate(zip(found, EXPECTED, strict=True)):
        out = run(running, language, text)
        for expected in texts:
            assert expected in out, (number, out[:3000])


def test_the_model_that_answers_is_that_of_the_settings() -> None:
    settings = load(None, {"GATEMILL_SERVER__DISCOVER": "false"}, {}, lister=None).settings
    assert f"`{settings.knowledge.answer_model}`, which is no language model" in GUIDE
