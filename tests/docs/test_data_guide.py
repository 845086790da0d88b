"""The guides on data and on egress are run: each block does what the text around it says."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

import warmed
from gatemill.ledger import kept
from gatemill.settings import leaves, path_text
from gatemill.settings.model import Settings
from running import Running, serve
from settings_files import loaded

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
DATA = (GUIDES / "data-and-retention.md").read_text(encoding="utf-8")
EGRESS = (GUIDES / "egress.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def run(running: Running, script: str, folder: Path) -> str:
    known = {
        "GATEMILL_URL": running.url,
        "GATEMILL_API_KEY": running.key,
        "GATEMILL_SERVER__DISCOVER": "false",
        "COLUMNS": "200",
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("uv run gatemill", warmed.GATEMILL)],
        cwd=folder,
        env=known,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_guides_commands_purge_and_are_refused(tmp_path):
    (retention,) = blocks(DATA, "toml")
    (private,) = blocks(EGRESS, "toml")
    with serve(tmp_path, retention + private) as running:
        purge, over_http = blocks(DATA, "sh")
        said = run(running, purge, tmp_path)
        assert "0 rows would go." in said
        assert "rows are gone." in said
        assert json.loads(run(running, over_http, tmp_path))["done"] is True
        refused = json.loads(run(running, blocks(EGRESS, "sh")[0], tmp_path))
    assert "not on the public web" in json.dumps(refused)


def test_the_table_is_what_the_code_says():
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", DATA, re.MULTILINE)
    assert rows == [(one.table, one.holds, one.until, one.purge) for one in kept.TABLES]


@pytest.mark.parametrize(
    "option", sorted({name for one in kept.TABLES for name in re.findall(r"`([\w.]+)`", one.until)})
)
def test_every_option_of_the_table_is_one(option):
    if option != "expires_after":  # a field of a store
        assert option in {path_text(path) for path, _ in leaves(Settings())}


def test_the_retention_shown_is_the_default(tmp_path):
    (retention,) = blocks(DATA, "toml")
    assert loaded(tmp_path, retention).settings == loaded(tmp_path, "").settings
