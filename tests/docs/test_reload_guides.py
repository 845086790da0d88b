"""The commands of the guides on reloading and on several processes do what the text says."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import redis_service
import warmed
from cli_run import clean_environment
from gatemill.settings.difference import NEEDS_RESTART
from running import serve

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
RELOAD = (GUIDES / "reload.md").read_text()
SCALE_OUT = (GUIDES / "scale-out.md").read_text()
ECHO = '[models.echo]\ntargets = ["echo/echo"]\n'
BLOCKS = re.findall(r"^```sh\n(.*?)^```", RELOAD, re.DOTALL | re.MULTILINE)


def test_the_commands_change_a_running_gateway_and_change_it_back(tmp_path):
    file = tmp_path / "gatemill.toml"
    draft = '[models.draft]\ntargets = ["echo/echo"]\n'
    with serve(tmp_path, ECHO) as running:
        for number, script in enumerate(BLOCKS):
            goes_back = "rollback" in script
            assert file.read_text() == (ECHO + draft if number else ECHO)
            if not goes_back:
                file.write_text(ECHO + draft)
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", _here(script)],
                cwd=tmp_path,
                env=clean_environment(GATEMILL_URL=running.url),
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            sign = "-" if goes_back else "+"
            assert f'{sign} models.draft.targets[0]: "echo/echo"\n' in done.stdout
            assert (file.read_text() == ECHO) == goes_back
    assert goes_back


def test_every_option_that_takes_a_restart_is_named():
    (said,) = re.findall(r"takes a restart\?\n\n(.*?) A reload names", RELOAD, re.DOTALL)
    names = [name.rpartition(".")[2] for name in re.findall(r"`([\w.]+)`", said)]
    assert names == [name for group in NEEDS_RESTART.values() for name in group]


def test_several_processes_start_as_it_says(tmp_path):
    (block,) = re.findall(r"^```sh\n(.*?)^```", SCALE_OUT, re.DOTALL | re.MULTILINE)
    with redis_service.store() as url:
        script = block.replace("redis://127.0.0.1:6379/0", url)
        script = _here(script).replace("serve ", "serve --port 0 ")
        *first, last = script.strip().splitlines()
        server = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", "\n".join([*first, f"exec {last}"])],
            cwd=tmp_path,
            env=clean_environment(PYTHONUNBUFFERED="1"),
            stdout=subprocess.PIPE,
        )
        assert server.stdout is not None
        with server.stdout:
            ready = next(line for line in server.stdout if b"workers_ready" in line)
            server.send_signal(signal.SIGTERM)
            server.stdout.read()
        assert server.wait(60) == 0
    assert b'"workers":4' in ready


def _here(script: str) -> str:
    return re.sub(r"^gatemill ", f"{warmed.GATEMILL} ", script, flags=re.MULTILINE)
