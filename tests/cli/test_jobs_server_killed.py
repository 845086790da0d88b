"""`gatemill jobs watch` while its server is killed and comes back."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

from cli_jobs_play import KIND, PATIENCE_S
from cli_run import clean_environment
from quiet_ports import quiet_port
from running import serve


def test_watching_goes_on_when_the_server_is_killed_and_comes_back(tmp_path) -> None:
    (tmp_path / "held.py").write_text(KIND)
    file = tmp_path / "release"
    config = f'[jobs]\nkinds = ["{tmp_path / "held.py"}"]\n'
    port = {"GATEMILL_SERVER__PORT": str(quiet_port())}  # nobody takes it while nobody listens
    with serve(tmp_path, config, **port) as first:
        known = {"GATEMILL_URL": first.url, "GATEMILL_API_KEY": first.key}
        env = clean_environment(**known)
        asks = [sys.executable, "-m", "gatemill", "jobs"]
        args = json.dumps({"file": str(file), "steps": 3})
        job_id = subprocess.check_output([*asks, "submit", "test.held", "--args", args], env=env)
        watcher = subprocess.Popen(
            [*asks, "watch", job_id.decode().strip()], env=env, stderr=subprocess.PIPE, text=True
        )
        assert watcher.stderr is not None
        while "3 of 3" not in watcher.stderr.readline():
            pass
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
    file.touch()
    with serve(tmp_path, config, **port):
        _, said = watcher.communicate(timeout=PATIENCE_S)
    assert watcher.returncode == 0, said
    assert "succeeded" in said
