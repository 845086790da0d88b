"""The first five minutes, the providers and the load test are run: each block does what the text around it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import warmed
from gatemill.settings.vendors import vendors
from running import Running, serve
from settings_files import loaded

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
SOON = "sleep 2   # a new key counts within a second\n"
# A busy machine may take longer.
UNTIL = """until curl -sfo models.json "$GATEMILL_URL/v1/models" -H "Authorization: Bearer $alice"
do sleep 0.1; done
"""
URL = re.compile(r"http://127\.0\.0\.1:\d+")
# What the output of a block has to hold, by guide and place.
EXPECTED = {
    ("start", 0): ("hello big world",),
    ("start", 1): ("gatemill.toml (", "+ models.smart", " word19\n"),
    ("start", 2): ("200\n200\n429\n{", "has no room for this request", "0.024000"),
    ("providers", 0): ("✓",),
    ("load-test", 0): ("echo, complete answers, 64 callers", '"first_token_p50_ms": '),
}


def blocks(name: str, language: str) -> list[str]:
    text = (GUIDES / f"{name}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def provider():
    """Its address."""
    command = [sys.executable, "-u", "-m", "gatemill", "fake-provider", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = URL.search(process.stdout.readline())
        assert found is not None
        yield found[0]
        process.terminate()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory):
    with serve(tmp_path_factory.mktemp("start")) as started:
        yield started


def _environment(running: Running) -> dict[str, str]:
    return {
        **os.environ,
        "GATEMILL_URL": running.url,
        "GATEMILL_API_KEY": running.key,
        "GATEMILL_SERVER__DATA_DIR": str(running.data_dir),
        "GATEMILL_SERVER__DISCOVER": "false",
        "COLUMNS": "200",
    }


def _run(running: Running, script: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("uv run gatemill", warmed.GATEMILL)],
        cwd=running.data_dir.parent,
        capture_output=True,
        text=True,
        check=False,
        env=_environment(running),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _runs_all(running: Running, name: str) -> None:
    found = blocks(name, "sh")
    assert [key for key in EXPECTED if key[0] == name] == [(name, n) for n in range(len(found))]
    for number, block in enumerate(found):
        out = _run(running, block.replace(" -d 1s", " -d 0.2s").replace(SOON, UNTIL))
        for text in EXPECTED[name, number]:
            assert text in out, (number, out)


def test_the_first_five_minutes_end_with_a_budget_that_refuses(running: Running, provider: str):
    (config,) = blocks("start", "toml")
    file = running.data_dir.parent / "gatemill.toml"
    file.write_text(config.replace("http://127.0.0.1:8800", provider))
    assert any(SOON in block for block in blocks("start", "sh"))
    _runs_all(running, "start")
    (script,) = blocks("start", "python")
    done = subprocess.run(
        [*warmed.PYTHON, script],
        env=_environment(running),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("word0 word1")


def test_the_load_test_measures(running: Running):
    _runs_all(running, "load-test")


def test_the_providers_are_checked_and_their_configuration_loads(running: Running, tmp_path: Path):
    _runs_all(running, "providers")
    keys = dict.fromkeys(re.findall(r"\$\{(\w+)\}", "".join(blocks("providers", "toml"))), "sk-x")
    (tmp_path / "secret").write_text("sk-y")
    for block in blocks("providers", "toml"):
        text = block.replace("/run/secrets/openai_europe", str(tmp_path / "secret"))
        settings = loaded(tmp_path, text, keys).settings
        assert settings.providers


def test_the_stores_of_several_machines_load(tmp_path: Path):
    (block,) = blocks("scale-out", "toml")
    stores = loaded(tmp_path, block, {"DATABASE_PASSWORD": "x"}).settings.stores
    assert stores.database.startswith("postgresql://gatemill:x@")
    assert stores.counters.startswith("redis://")


def test_the_table_of_kinds_is_that_of_the_code():
    text = (GUIDES / "providers.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.MULTILINE)
    known = {
        name: vendor
        for name, vendor in vendors().items()
        if name not in {"echo", "builtin", "local"}
    }
    assert {name for name, _ in rows} == set(known)
    for name, variables in rows:
        assert re.findall(r"`(\w+)`", variables) == list(known[name].key_variables)
