"""The guide on alerts is run: a message arrives, the list shows it, and its tables name what there is."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

import needs
import warmed
from cli_run import entered
from gatemill.policy.incidents import RULES
from gatemill.settings.alerts import Alerts
from quiet_ports import quiet_port
from running import serve

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "alerts.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


def run(script: str, folder: Path, **known: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("uv run gatemill", warmed.GATEMILL)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "COLUMNS": "200", **known},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory):
    """A server with the guide's configuration, and the port that it has for the listener."""
    folder = tmp_path_factory.mktemp("alerts")
    port = str(quiet_port())
    (toml,) = blocks("toml")
    with serve(folder, toml.replace("8791", port)) as running:
        yield running, port


def test_a_message_arrives_and_the_list_says_what_to_do(served, tmp_path: Path):
    running, port = served
    known = {"GATEMILL_URL": running.url, "GATEMILL_API_KEY": running.key}
    heard = run(blocks("sh")[0].replace("8791", port), tmp_path, **known)
    assert "alert.opened" in heard
    assert re.search(r"^DiskNearlyFull +- +open +critical", heard, re.MULTILINE)
    assert '"name":"DiskNearlyFull"' in heard
    assert '"runbook":"docs/runbooks/disk-nearly-full.md"' in heard


def test_what_is_not_there_is_said(served, capsys, monkeypatch, tmp_path: Path):
    running, _ = served
    gatemill = entered(capsys, monkeypatch, tmp_path)
    monkeypatch.setenv("GATEMILL_URL", running.url)
    monkeypatch.setenv("GATEMILL_API_KEY", running.key)
    of = ("alerts", "ls", "--name", "BreakerOpen")
    assert gatemill(*of, "--open").err == "Nothing is wrong.\n"
    assert gatemill(*of).err == "Nothing has been wrong.\n"
    assert gatemill(*of, "--json").out == "[]\n"
    wrong = gatemill("alerts", "ls", "--name", "Nothing")
    assert wrong.code == 1
    assert "`name`: send one of ErrorRatio" in wrong.err


def test_the_files_are_taken_by_promtool():
    needs.program("promtool")
    assert "SUCCESS" in run(blocks("sh")[1].splitlines()[0], ROOT)


def test_the_table_has_every_rule_and_its_setting():
    rows = re.findall(r"^\| `([A-Z]\w+)` \| .+ \| (?:`(\w+)`)? ?\|$", GUIDE, re.MULTILINE)
    assert {name for name, _ in rows} == set(RULES)
    assert {option for _, option in rows} - {""} <= set(Alerts.model_fields)
    levels = {"error_share", "latency_p95_s", "queue_age_s", "dead_letters", "webhook_error_share"}
    assert {option for _, option in rows} - {""} == levels | {
        "ledger_rows",
        "disk_share",
        "loop_lag_s",
    }
