"""The guides on running it for others, on upgrades and on backups: each block that can run does what it says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import warmed
from cli_run import clean_environment
from running import serve
from settings_files import loaded

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "docs" / "guides"


def blocks(name, language):
    text = (GUIDES / f"{name}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def run(script, folder):
    command = re.sub(r"^gatemill ", f"{warmed.GATEMILL} ", script, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_files_are_written_by_one_command(tmp_path):
    script, proof = blocks("deploy", "sh")
    said = run(script, tmp_path)
    assert "wrote  deploy/compose.yml" in said
    assert (tmp_path / "deploy" / "k8s" / "kustomization.yaml").exists()
    (file,) = re.findall(r"tests/\S+\.py", proof)
    assert (ROOT / file).exists()
    (variable,) = re.findall(r"GATEMILL_TEST_\w+", proof)
    assert variable in (ROOT / file).read_text()


def test_what_a_proxy_needs_holds(tmp_path):
    (toml,) = blocks("deploy", "toml")
    server = loaded(tmp_path, toml).settings.server
    assert (server.drain_delay_s, server.drain_timeout_s) == (5, 60)
    text = (GUIDES / "deploy.md").read_text()
    defaults = loaded(tmp_path, "").settings.server
    assert f"`server.drain_delay_s` ({defaults.drain_delay_s:.0f})" in text
    assert f"`server.drain_timeout_s`\n   ({defaults.drain_timeout_s:.0f})" in text
    for name in re.findall(r"`(deploy/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name


def test_a_backup_of_a_running_server_comes_back_and_so_does_an_upgrade(tmp_path):
    made, restored = blocks("backup", "sh")
    with serve(tmp_path):
        assert "whole and on the disk" in run(made, tmp_path)
        with pytest.raises(AssertionError, match="A Gatemill runs on"):
            run(restored, tmp_path)
    assert "The database that was there is" in run(restored, tmp_path)
    before, back = blocks("upgrade", "sh")
    said = run(before, tmp_path)
    assert "schema version" in said
    assert "The database that was there is" in run(back, tmp_path)
