"""The guide on webhooks is run: each block does what the text around it says."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import msgspec
import pytest
from openai import InvalidWebhookSignatureError

import warmed
from gatemill.jobs.kinds.webhook import DELAYS_S
from gatemill.settings.jobs import Webhooks
from gatemill.wire import webhook
from quiet_ports import quiet_port
from running import Running, serve
from settings_files import loaded

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "webhooks.md").read_text(encoding="utf-8")

LISTED = 'uv run gatemill webhooks deliveries --job "$job"\n'
# The listener has printed what it is about to answer: what came of it is written a moment later.
UNTIL = f'until {LISTED.strip()} | grep "succeeded *job"; do sleep 0.1; done\n'


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory):
    (toml,) = blocks("toml")
    with serve(tmp_path_factory.mktemp("webhooks"), toml) as started:
        yield started


def run(running: Running, script: str, folder: Path) -> str:
    known = {
        "GATEMILL_URL": running.url,
        "GATEMILL_API_KEY": running.key,
        "GATEMILL_SERVER__DISCOVER": "false",
        "COLUMNS": "200",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("uv run gatemill", warmed.GATEMILL)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **known},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_shell_blocks_do_what_the_guide_says(running: Running, tmp_path: Path):
    port = str(quiet_port())
    heard, added, rotated = blocks("sh")
    assert LISTED in heard
    out = run(running, heard.replace("8790", port).replace(LISTED, UNTIL), tmp_path)
    assert re.search(r"job\.succeeded +job_\w+ +wh_\w+ +signed +200", out), out
    assert re.search(r"wh_\w+ +succeeded +job\.succeeded +1/10 +200 +job_\w+", out), out
    out = run(running, added + 'echo "$secret"\n', tmp_path)
    assert "job.* batch.completed" in out
    assert re.search(r"^whsec_", out, re.MULTILINE)
    out = run(running, rotated, tmp_path)
    assert len(re.findall(r"^whsec_", out, re.MULTILINE)) == 2


def test_the_receiver_takes_what_is_signed_and_ignores_what_comes_twice(
    capsys: pytest.CaptureFixture[str],
):
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(code, "webhooks.md", "exec"), names)
    hook = names["hook"]
    assert callable(hook)
    key = bytes(range(32))
    body = msgspec.json.encode(
        {
            "id": "evt_1",
            "object": "event",
            "type": "batch.completed",
            "created_at": 1,
            "data": {"id": "batch_1"},
        }
    )
    headers = dict(webhook.headers((key,), "wh_1", time.time(), body))
    for _ in range(2):
        assert hook(body, headers, webhook.secret_of(key)) == "thanks"
    assert capsys.readouterr().out == "batch.completed batch_1\n"
    with pytest.raises(InvalidWebhookSignatureError):
        hook(body, headers, webhook.secret_of(bytes(32)))


def test_the_configuration_loads(tmp_path: Path):
    (toml,) = blocks("toml")
    assert loaded(tmp_path, toml).settings.webhooks.private_addresses == ("127.0.0.0/8",)


def test_the_figures_are_those_of_the_code():
    words = {5: "5 s", 300: "5 min", 1800: "30 min"}
    pauses = [words.get(int(pause), f"{pause / 3600:g} h") for pause in DELAYS_S]
    told = re.sub(r"\s+", " ", GUIDE)
    assert f"at once, then after {', '.join(pauses[:-1])} and {pauses[-1]}" in told
    options = Webhooks()
    assert f"gave up {options.disable_after} notifications in a row" in told
    assert f"at most {options.timeout_s:g} s (`webhooks.timeout_s`)" in told
    assert "four tries at once" in told
    assert options.tries_per_host == 4


def test_the_events_are_those_of_the_code():
    rows = re.findall(r"^\| (`.*?) \|", GUIDE, re.MULTILINE)
    found = []
    for row in rows:
        names = re.findall(r"`([a-z.]+)`", row)
        family = names[0].partition(".")[0]
        found += [f"{family}{name}" if name.startswith(".") else name for name in names]
    assert sorted(found) == sorted(webhook.EVENTS)
