"""The guide on job kinds of one's own is run: the kind, its test, and a job of it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from msgspec import UNSET

import warmed
from cli_run import clean_environment
from gatemill.core import job
from gatemill.jobs.context import Context
from gatemill.jobs.registry import GROUP, Kinds
from running import serve

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "own-job-kind.md").read_text()
ECHO = '[models.echo]\ntargets = ["echo/echo"]\n'


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


KIND, TEST = blocks("python")
CONFIG, PACKAGE = blocks("toml")
(SUBMIT,) = blocks("sh")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "translate.py").write_text(KIND)
    return tmp_path


def test_the_kind_runs_as_a_job(folder: Path):
    with serve(folder, ECHO + CONFIG) as running:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", SUBMIT.replace("gatemill ", f"{warmed.GATEMILL} ", 1)],
            cwd=folder,
            env=clean_environment(GATEMILL_URL=running.url, GATEMILL_API_KEY=running.key),
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Translate into French: the mill" in done.stdout


def test_its_test_passes(folder: Path):
    (folder / "test.py").write_text(TEST)
    done = subprocess.run(
        [sys.executable, "test.py"],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_entry_point_has_our_name():
    assert list(tomllib.loads(PACKAGE)["project"]["entry-points"]) == [GROUP]


def test_whatever_a_kind_is_given_is_told():
    told = set(re.findall(r"`(?:await |raise Parts\(\[)?ctx\.(\w+)", GUIDE))
    inside = {"flush", "close", "now_s"}
    assert {name for name in vars(Context) if not name.startswith("_")} - inside <= told
    assert told - {"job"} <= set(vars(Context))


def test_the_names_that_it_uses_are_there():
    for name in ("HIGH", "DEFAULT", "LOW", "Problem"):
        assert getattr(job, name, UNSET) is not UNSET
    assert Kinds.load().find("documents.ask").__name__ == "gatemill.jobs.kinds.documents"
