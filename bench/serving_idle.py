"""The memory of a server that has nothing to do. Rule: a fresh process each, read from /proc."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from bench import machine

_CONFIG = '[local.mine]\ntask = "embed"\nsource = "file:nowhere"\n'
_PATIENCE_S = 60.0


def idle_mb(scratch: Path) -> dict[str, float]:
    """RSS in MB without and with a model in [local] that nobody has asked for."""
    return {
        "without [local]": _idle(scratch / "plain", ""),
        "with [local], nothing loaded": _idle(scratch / "local", _CONFIG),
    }


def _idle(folder: Path, config: str) -> float:
    folder.mkdir(parents=True)
    (folder / "gatemill.toml").write_text(config)
    port = machine.free_port()
    words = ["-m", "gatemill", "serve", "--port", str(port), "--data-dir", str(folder / "data")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([sys.executable, *words], cwd=folder, stdout=log, stderr=log)
    try:
        _ready(f"http://127.0.0.1:{port}/readyz")
        time.sleep(3)
        status = Path(f"/proc/{server.pid}/status").read_text()
    finally:
        server.terminate()
        server.wait()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None, os.uname()
    return int(found[1]) / 1000


def _ready(url: str) -> None:
    ends_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(url) as answer:
                answer.read()
        except OSError:
            if time.monotonic() > ends_s:
                raise
            time.sleep(0.1)
        else:
            return
