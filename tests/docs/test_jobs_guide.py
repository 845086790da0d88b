"""The guides on jobs and batches: every block does what the text around it says, on a real server."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import warmed
from gatemill.core.job import STATES
from gatemill.jobs.registry import Kinds, is_hidden
from gatemill.jobs.submission import JOBS_MAX
from gatemill.settings import load
from lab import provider
from running import Running, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs"
JOBS = (DOCS / "guides" / "jobs.md").read_text(encoding="utf-8")
BATCHES = (DOCS / "guides" / "batches.md").read_text(encoding="utf-8")
_BLOCKS = re.compile(r"^```(sh|python|toml)\n(.*?)^```", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    language: str
    text: str


def blocks(guide: str, *languages: str) -> list[Block]:
    found = [Block(*each) for each in _BLOCKS.findall(guide)]
    return [each for each in found if each.language in languages]


# What the output of each program of a guide has to hold, in their order.
EXPECTED_OF_JOBS = (
    ('"object":"job"', '"state":"'),
    ("succeeded, 1 of 4 attempts", '"content":"hello big world"', '"cost_usd":"0.000000"'),
    ("event: state", "id: 3\n", "hello big world\n"),
    ("job_", "scheduled", "cancelled"),
    ("it died", "content_policy_violation", '"model": "strict"', "would replay 1\n", "succeeded"),
    ("is being stopped", "cancelled  chat.completion"),
    ('"object":"job"', '"kind":"inference"'),
    (),
)
EXPECTED_OF_BATCHES = (
    ('"custom_id":"line-1"', "200 done, 0 failed", "answers.jsonl: 200 lines"),
    ('"custom_id":"line-200"', "status     completed", "FAILED"),
    (),
    ('"custom_id":"odd"', "3 done, 1 failed", "line 2: ", "it failed"),
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("guide")
    (config,) = blocks(JOBS, "toml")
    with provider(folder) as url:
        assert "http://127.0.0.1:8800" in config.text
        echo = '[models.echo]\ntargets = ["echo/echo"]\n'
        with serve(folder, config.text.replace("http://127.0.0.1:8800", url) + echo) as server:
            yield server


def run(running: Running, block: Block) -> str:
    """Everything that it writes."""
    text = block.text.replace("uv run gatemill", warmed.GATEMILL)
    command = ["bash", "-euo", "pipefail", "-c", text]
    if block.language == "python":
        command = [*warmed.PYTHON, text]
    known = {"GATEMILL_URL": running.url, "GATEMILL_API_KEY": running.key, "COLUMNS": "200"}
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


@pytest.mark.parametrize(
    ("guide", "expected"), [(JOBS, EXPECTED_OF_JOBS), (BATCHES, EXPECTED_OF_BATCHES)]
)
def test_the_programs_of_a_guide_do_what_it_says(running: Running, guide: str, expected) -> None:
    found = blocks(guide, "sh", "python")
    assert len(found) == len(expected)
    for number, (block, texts) in enumerate(zip(found, expected, strict=True)):
        out = run(running, block)
        for text in texts:
            assert text in out, (number, out)


def test_every_state_is_explained() -> None:
    (table,) = re.findall(r"^\| state \| means \|\n(.*?)\n\n", JOBS, re.DOTALL | re.MULTILINE)
    cells = " ".join(row.split("|")[1] for row in table.splitlines())
    assert re.findall(r"`(\w+)`", cells) == list(STATES)


def test_every_kind_is_named() -> None:
    kinds = Kinds.load()
    offered = {name for name in kinds.names if not is_hidden(kinds.find(name))}
    (table,) = re.findall(r"^\| kind \|.*?\n\n", JOBS, re.DOTALL | re.MULTILINE)
    assert set(re.findall(r"^\| `([\w.]+)` \|", table, re.MULTILINE)) == offered


def test_the_limits_are_those_of_the_settings() -> None:
    settings = load(None, {"GATEMILL_SERVER__DISCOVER": "false"}, {}, lister=None).settings
    jobs, batches, files = settings.jobs, settings.batches, settings.files
    rows = {
        "`jobs.slots`": f"{jobs.slots} at once",
        "`jobs.waiting_max_per_owner`": (
            f"{jobs.waiting_max_per_owner:,} and {jobs.waiting_max:,}"
        ),
        "`jobs.args_bytes`": f"{jobs.args_bytes >> 20} MiB",
        "`jobs.result_bytes`": f"{jobs.result_bytes >> 20} MiB",
        "jobs in one `POST`": f"{JOBS_MAX:,}, all or none",
        "`jobs.attempts_max`": f"{jobs.attempts_max} attempts of {jobs.timeout_s:.0f} s",
        "`jobs.keep_days`": f"| {jobs.keep_days} |",
        "`batches.lines_max`": f"{batches.lines_max:,} lines",
        "`files.bytes_max` ": f"{files.bytes_max >> 20} MiB",
        "`files.bytes_max_per_owner`": f"{files.bytes_max_per_owner >> 30} GiB",
        "`files.keep_days`": f"| {files.keep_days} |",
    }
    for name, value in rows.items():
        (row,) = [line for line in (JOBS + BATCHES).splitlines() if line.startswith(f"| {name}")]
        assert value in row


def test_the_alerts_that_are_named_stand_in_the_file() -> None:
    (said,) = re.findall(r"^## Alerts\n\n(.*?) stand in", JOBS, re.DOTALL | re.MULTILINE)
    rules = (DOCS.parent / "deploy" / "prometheus" / "rules" / "gatemill.yml").read_text()
    names = re.findall(r"`(\w+)`", said)
    assert len(names) == 6
    assert not [name for name in names if f"- alert: {name}\n" not in rules]


def test_every_page_that_is_linked_is_there() -> None:
    for guide in (JOBS, BATCHES):
        for target in re.findall(r"\]\(([\w./-]+\.md)", guide):
            assert (DOCS / "guides" / target).is_file(), target
