"""A real server in a process of its own, for tests that need one.

    with serve(tmp_path, '[models.x]\ntargets = ["echo/echo"]') as running:
        running.url, running.key, running.data_dir

Rule: it is ready when it is given to the test, its log is in a file, and it must end with 0.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

START_S_MAX = 120.0  # the machine may be busy with other tests
STOP_S_MAX = 45.0  # above the server's own grace for open requests
_TAIL_LINES = 40
_URL = re.compile(rb"http://(?:[\w.-]+|\[[0-9a-f:]+\]):\d+")
# No key of the person who runs the tests may reach a provider.
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "COVERAGE_PROCESS_START")


class Running(Struct):
    """What a test talks to."""

    url: str  # without a slash at its end
    key: str  # of the first start: an admin key; "" where none was made
    process: subprocess.Popen[bytes]
    data_dir: Path
    log: Path  # everything written so far, by earlier servers here too

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def lines(self) -> list[dict[str, object]]:
        """The log's JSON lines so far; the last one may be there in part, while it is written."""
        whole = self.log.read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in whole if line[:1] == b"{"]


class _Ears(threading.Thread):
    """Copies a server's output to a file, and hears the URL in it."""

    def __init__(self, source: IO[bytes], log: Path) -> None:
        super().__init__(name="server-log", daemon=True)
        self._source = source
        self._log = log
        self.url = ""
        self.tail: deque[bytes] = deque(maxlen=_TAIL_LINES)
        self.heard = threading.Event()  # the URL, or the end of all output

    def run(self) -> None:
        with self._log.open("ab", buffering=0) as file:
            for line in self._source:
                file.write(line)
                self.tail.append(line)
                if not self.url and (url := _said_url(line)):
                    self.url = url
                    self.heard.set()
        self.heard.set()

    def words(self) -> str:
        """The last lines, for a failure's message."""
        return b"".join(self.tail).decode(errors="replace")


def _said_url(line: bytes) -> str:
    if line.startswith(b"{"):
        said = json.loads(line)
        if said.get("event") == "ready":
            host = said["host"]
            return f"http://{f'[{host}]' if ':' in host else host}:{said['port']}"
        return ""
    found = _URL.search(line)
    return found[0].decode() if found else ""


@contextmanager
def serve(tmp_path: Path, config_text: str = "", **env: str) -> Iterator[Running]:
    """A server with this TOML and these variables, on a free port of 127.0.0.1.

    Variables win over the TOML, as everywhere. Providers of the machine are not looked for, unless
    GATEMILL_SERVER__DISCOVER="true" is given. Afterwards it has ended: by SIGTERM with exit code 0,
    or by whatever the test did to it.
    """
    config = tmp_path / "gatemill.toml"
    config.write_text(config_text)
    data_dir = tmp_path / "data"
    log = tmp_path / "server.log"
    process = subprocess.Popen(
        [sys.executable, "-m", "gatemill", "serve"],
        env=process_environment(tmp_path, config, data_dir) | env,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    ears = _Ears(process.stdout, log)
    ears.start()
    try:
        ears.heard.wait(START_S_MAX)
        assert ears.url, f"it did not start:\n{ears.words()}"
        data_dir = Path(env.get("GATEMILL_SERVER__DATA_DIR", data_dir))
        key = data_dir / "dev.key"
        text = key.read_text().strip() if key.exists() else ""
        yield Running(url=ears.url, key=text, process=process, data_dir=data_dir, log=log)
        _stop(process, ears)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        ears.join(STOP_S_MAX)
        process.stdout.close()


def process_environment(tmp_path: Path, config: Path, data_dir: Path) -> dict[str, str]:
    """The variables of a process whose TOML and data are these, on a free port."""
    outside = os.environ
    kept = {name: outside[name] for name in _KEPT if name in outside}
    return kept | {
        "HOME": str(tmp_path),
        "PYTHONUNBUFFERED": "1",
        "GATEMILL_CONFIG": str(config),
        "GATEMILL_SERVER__HOST": "127.0.0.1",
        "GATEMILL_SERVER__PORT": "0",
        "GATEMILL_SERVER__DATA_DIR": str(data_dir),
        "GATEMILL_SERVER__LOG": "json",
        "GATEMILL_SERVER__DISCOVER": "false",
    }


def _stop(process: subprocess.Popen[bytes], ears: _Ears) -> None:
    if process.poll() is not None:
        return  # the test has ended it, and knows how
    process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"it did not stop in {STOP_S_MAX} s:\n{ears.words()}") from None
    assert code == 0, f"it ended with {code}:\n{ears.words()}"
