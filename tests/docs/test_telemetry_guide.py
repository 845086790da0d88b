"""The guide on telemetry is run: traces arrive, the headers and the metrics are there, the settings hold."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli_run import clean_environment
from collector import collecting
from gatemill.observe.snapshots import GAUGES
from openapi_examples import fetch
from running import serve
from settings_files import loaded

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "telemetry.md").read_text()
ECHO = '[models.echo]\ntargets = ["echo/echo"]\n'


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


INSTALL, ASK, LOST, WORKER = blocks("sh")
TRACES, LOGS = blocks("toml")


def wait_for(true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)  # another process decides; there is no event to wait for


def run(script: str, folder: Path, **env: str) -> str:
    script = script.replace("gatemill worker", f"{sys.executable} -m gatemill worker")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=clean_environment(**env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_trace_is_sent_and_the_answer_says_which(tmp_path):
    with collecting() as collector:
        config = ECHO + TRACES.replace("http://127.0.0.1:4318", collector.url)
        config = config.replace("sample_share = 0.1", "sample_share = 1.0\ntrust_incoming = true")
        # The lines are in the file; the banner on standard output says where the server is.
        with serve(tmp_path, config + LOGS, GATEMILL_SERVER__LOG="pretty") as running:
            told = {"GATEMILL_URL": running.url, "GATEMILL_API_KEY": running.key}
            said = run(ASK, tmp_path, **told)
            collector.until(lambda it: len(it.spans) == 2)
            counted = run(LOST, tmp_path, **told)
            log = tmp_path / "gatemill.log"
            log.rename(tmp_path / "gatemill.log.1")
            running.process.send_signal(signal.SIGHUP)
            wait_for(lambda: log.exists() and "config_unchanged" in log.read_text())
    # The line of the answer may have waited for its turn, and is lost in neither case.
    assert "chat" in (tmp_path / "gatemill.log.1").read_text() + log.read_text()
    assert "config_unchanged" not in running.log.read_text()
    assert "x-gatemill-trace-id: 0af7651916cd43dd8448eb211c80319c" in said
    assert re.search(r"x-gatemill-overhead-ms: \d+\.\d\d", said)
    assert {span.name for span in collector.spans} == {"POST /v1/chat/completions", "chat echo"}
    assert re.search(r"^gatemill_telemetry_spans_dropped_total 0\.0$", counted, re.MULTILINE)


def test_a_worker_tells_its_numbers_on_this_machine(tmp_path):
    words = WORKER.replace("9464", "0").split()
    worker = subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=tmp_path,
        env=clean_environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
    )
    try:
        assert worker.stdout is not None
        said = (json.loads(line) for line in worker.stdout if line[:1] == b"{")
        port = next(line["metrics"] for line in said if line["event"] == "working")
        answer = fetch(f"http://127.0.0.1:{port}/metrics", {})
        assert (answer.status, b"gatemill_jobs_slots " in answer.body) == (200, True)
        second = run(f"gatemill worker --metrics-port {port} 2>&1 || true", tmp_path)
        assert "cannot be used for /metrics" in second
        assert "--metrics-port" in second
        worker.terminate()
        assert worker.wait(30) == 0
    finally:
        worker.kill()
        worker.wait()
        worker.stdout.close()


@pytest.mark.parametrize("block", [TRACES, LOGS])
def test_the_settings_hold(tmp_path, block):
    settings = loaded(tmp_path, block).settings
    if block is LOGS:
        fresh = type(settings.server)()
        for name in ("log_level", "log_file_bytes_max", "log_files_max"):
            assert getattr(settings.server, name) == getattr(fresh, name)


def test_the_extra_is_one():
    (name,) = re.findall(r"--extra (\w+)", INSTALL)
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f"\n{name} = [" in project


def test_the_list_of_rules_is_where_it_says():
    assert "observe/snapshots.py" in GUIDE
    assert set(GAUGES.values()) == {"sum", "max", "min", "newest"}
