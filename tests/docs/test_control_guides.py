"""The guides on limits, usage and explanations are run: each block does what the text around it says."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

import warmed
from gatemill.core.scopes import ALL
from running import Running, serve
from settings_files import loaded

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
NAMES = ("limits-and-budgets", "usage", "explain", "keys-and-scopes", "sign-in", "dashboard")
PROVIDER = "[providers.openai]\n"
# What the output of a block has to hold, by guide and place.
EXPECTED = {
    ("limits-and-budgets", 0): ("gm-",),
    ("limits-and-budgets", 1): ("5 at once", "ada", "notebook"),
    ("limits-and-budgets", 2): ('"limit_usd":"120.000000"', '"alert_at":[0.5,0.9]', '"update"'),
    ("usage", 0): ("MODEL", "cost_usd", "requests  "),
    ("usage", 1): ('"object":"usage"', "team_id,requests", '"usage_summary"', '"data":[]'),
    ("keys-and-scopes", 0): ("gm-", "inference,usage", "admin:read", "dashboard"),
    ("keys-and-scopes", 1): ('"scopes":["jobs"]', "never gets more", '"field":"scopes"'),
    ("keys-and-scopes", 2): ('"detail":{"scopes":[["inference","jobs"],["jobs"]]}',),
    ("sign-in", 0): ("303 http", "/ui/keys\n", "<h1>Keys</h1>", '"object":"list"'),
    ("sign-in", 1): ("This link was used already, or has ended", "401"),
    ("sign-in", 2): ('"status":403', "must come from a page of this server"),
    ("dashboard", 0): ("/ui/login?token=",),
    ("dashboard", 1): ('"range":"24 h"', '"default_scopes"'),
    ("explain", 0): ('"seed":"mine-1"', '"status":200'),
    ("explain", 1): ("outcome  200 from the provider", "target   echo/echo"),
    ("explain", 2): ("outcome  200\n", '"attempts":[{"attempt":1'),
}


def blocks(name: str, language: str) -> list[str]:
    text = (GUIDES / f"{name}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory):
    with serve(tmp_path_factory.mktemp("guides")) as started:
        yield started


def _run(running: Running, script: str) -> str:
    known = {
        "GATEMILL_URL": running.url,
        "GATEMILL_API_KEY": running.key,
        "GATEMILL_SERVER__DATA_DIR": str(running.data_dir),
        "GATEMILL_SERVER__DISCOVER": "false",
        "COLUMNS": "200",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("uv run gatemill", warmed.GATEMILL)],
        cwd=running.data_dir,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **known},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_the_blocks_of_a_guide_do_what_it_says(running: Running, name: str):
    found = blocks(name, "sh")
    assert [key for key in EXPECTED if key[0] == name] == [(name, n) for n in range(len(found))]
    for number, block in enumerate(found):
        out = _run(running, block)
        for text in EXPECTED[name, number]:
            assert text in out, (number, out)


def test_the_configuration_loads(tmp_path: Path):
    (block,) = blocks("limits-and-budgets", "toml")
    settings = loaded(tmp_path, PROVIDER + block).settings
    assert settings.limits.default.budgets.month is not None
    assert settings.models["fast"].limits.concurrency == 50


def test_the_configurations_of_signing_in_load(tmp_path: Path):
    plain, oidc = blocks("sign-in", "toml")
    assert loaded(tmp_path, plain).settings.auth.public_url == "https://gateway.example.com"
    auth = loaded(tmp_path, oidc, {"OIDC_SECRET": "s"}).settings.auth
    assert auth.oidc is not None
    assert auth.oidc.admins == ("ada@example.com", "group:platform")


def test_the_guide_names_every_scope():
    text = (GUIDES / "keys-and-scopes.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z:]+)` \|", text, re.MULTILINE) == list(ALL)
