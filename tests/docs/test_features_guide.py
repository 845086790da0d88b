"""The guides on features and on replay: every block does what the text around it says, on a real server."""

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

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
# What the output of each block has to hold, by guide, in their order.
EXPECTED = {
    "features": (
        ("users has user.tier, user.age", "2 values written", "x-gatemill-route: user.tier gold"),
        ("1 value written", "gold", "free", "NOT_FOUND", "silver"),
        ('"user.tier":"free"', '"NOT_FOUND"'),
        ("assistant  user.tier=gold user.age=41", '"entities":{"user":"u1"}'),
        ("3 values written", "users", "user.tier, user.age", "local", "yes"),
        ('"source":"feast"', '"join_key":"customer_id"'),
    ),
    "replay": (
        ("3 compared, 0 failed, 0 skipped", "latency", "95 % INTERVAL", "equal", "100%"),
        ("2 compared, 0 failed, 0 skipped",),
        ('"kind":"requests.replay"',),
        ("FORMAT", "chat", '"object":"recording"', "3 recordings deleted"),
    ),
}


def blocks(name: str, language: str) -> list[str]:
    text = (GUIDES / f"{name}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    guides = "\n".join(text for name in EXPECTED for text in blocks(name, "toml"))
    # On a busy machine, too, a request waits for its features.
    config = f"{guides}\n[features]\nbudget_ms = 10_000\n"
    with serve(tmp_path_factory.mktemp("guides"), config) as started:
        yield started


def _run(running: Running, script: str) -> str:
    known = {"GATEMILL_URL": running.url, "GATEMILL_API_KEY": running.key, "COLUMNS": "200"}
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
    return done.stdout


@pytest.mark.parametrize("name", EXPECTED)
def test_the_blocks_of_a_guide_do_what_it_says(running: Running, name: str) -> None:
    found = blocks(name, "sh")
    assert len(found) == len(EXPECTED[name])
    for number, (block, texts) in enumerate(zip(found, EXPECTED[name], strict=True)):
        out = _run(running, block)
        for text in texts:
            assert text in out, (number, out)
