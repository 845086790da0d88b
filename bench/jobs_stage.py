"""A server for the benchmark of jobs. Rule: real, on a core of its own, and ended afterwards."""

from __future__ import annotations

import contextlib
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from bench import process
from bench.failures import BenchStopped
from bench.jobs_load import Place
from bench.machine import Cores, free_port

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

KIND = Path(__file__).with_name("jobs_kind.py")
NAME = "bench.wait"
_START_S_MAX = 30.0
_PAUSE_S = 0.02
_CONFIG = """
[server]
discover = false
log = "json"
[stores]
database = "{database}"
[providers.typical]
kind = "openai"
base_url = "http://127.0.0.1:{provider}/v1"
api_key = "any"
[models.echo]
targets = ["echo/echo"]
[models.typical]
targets = ["typical/fake+first-byte=0.1"]
[jobs]
kinds = ["{kind}"]
embedded = {embedded}
"""


class Stage(Struct, frozen=True):
    """Where servers run."""

    folder: Path
    cores: Cores
    database: Callable[[], AbstractContextManager[str]]  # a new one for each server


class Live(Struct, frozen=True):
    """A server that answers."""

    place: Place
    pid: int


@contextlib.contextmanager
def serving(stage: Stage, more: str = "", *, embedded: bool = True) -> Iterator[Live]:
    """A server with an empty ledger; `more` is appended to its configuration."""
    folder = stage.folder / f"server-{len(list(stage.folder.iterdir()))}"
    folder.mkdir()
    with stage.database() as database, _provider(stage) as provider:
        values = {
            "database": database,
            "kind": KIND,
            "embedded": str(embedded).lower(),
            "provider": provider,
        }
        (folder / "gatemill.toml").write_text(_CONFIG.format(**values) + more)
        port = free_port()
        command = (
            *(sys.executable, "-m", "gatemill", "serve", "--config", str(folder / "gatemill.toml")),
            *("--port", str(port), "--data-dir", str(folder / "data")),
        )
        log = folder / "server.log"
        running = process.start(command, stage.cores.gateway, log)
        try:
            _wait(running, port, log)
            key = (folder / "data" / "dev.key").read_text().strip()
            yield Live(Place("127.0.0.1", port, key), running.pid)
        finally:
            process.stop(running)


@contextlib.contextmanager
def _provider(stage: Stage) -> Iterator[int]:
    """The port of a provider that takes its time."""
    port = free_port()
    command = (sys.executable, "-m", "gatemill", "fake-provider", "--port", str(port))
    running = process.start(command, stage.cores.load, stage.folder / "provider.log")
    try:
        yield port
    finally:
        process.stop(running)


def _wait(running: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until_s = time.monotonic() + _START_S_MAX
    while time.monotonic() < until_s and running.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=5.0)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except (OSError, HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(_PAUSE_S)
    raise BenchStopped(f"the server did not start:\n{log.read_text()[-2000:]}")
