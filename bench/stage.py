"""Upstream and subjects, up and checked. Rule: whatever was started here ends with the run."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from bench import load, machine, payloads, probe, process, subjects
from bench.failures import BenchStopped
from bench.figures import DIRECT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.machine import Cores
    from bench.subjects import Options

_START_LIMIT_S = 120.0
_CALIBRATION_S = 0.3  # a run at least this long tells the rate
_CALIBRATION_REQUESTS_MAX = 20_000

KINDS = ("chat", "burst", "paced")


class Stage(Struct, frozen=True):
    """What all subjects share."""

    folder: Path
    cores: Cores
    upstream: str  # host:port
    options: Options
    upstream_pid: int


class Live(Struct):
    """A subject that answers. Written by `calibrated` and the rounds, read by the rounds."""

    name: str
    pid: int
    setup: str
    targets: dict[str, load.Target]  # by kind
    answer_bytes: dict[str, int] = field(default_factory=dict)  # of one complete answer, by kind
    rates_s: dict[str, float] = field(default_factory=dict)  # answers per second, by kind
    chats: int = 0  # requests so far, for the memory measure
    failed: int = 0


@contextlib.contextmanager
def opened(folder: Path, cores: Cores, options: Options) -> Iterator[Stage]:
    """The upstream answers and the request bodies lie in the folder."""
    (folder / "chat.json").write_bytes(payloads.chat_request())
    (folder / "burst.json").write_bytes(payloads.stream_request(paced=False))
    (folder / "paced.json").write_bytes(payloads.stream_request(paced=True))
    port = machine.free_port()
    command = (sys.executable, "-m", "bench.upstream", str(port))
    upstream = process.start(command, cores.load, folder / "upstream.log")
    try:
        address = f"127.0.0.1:{port}"
        url = f"http://{address}/v1/chat/completions"
        started_s = time.monotonic()
        body = payloads.chat_request()
        probe.first_answer_s(lambda: probe.ask(url, {}, body, 5.0), started_s, 20.0)
        yield Stage(folder, cores, address, options, upstream.pid)
    finally:
        process.stop(upstream)


@contextlib.contextmanager
def started(stage: Stage, name: str) -> Iterator[tuple[Live, float]]:
    """The subject and the seconds it took from exec to its first answer, in an empty folder."""
    number = len(list(stage.folder.glob(f"{name}-*")))
    folder = stage.folder / f"{name}-{number}"
    folder.mkdir()
    place = subjects.Place(folder, machine.free_port(), stage.upstream)
    subject = subjects.build(name, place, stage.options)
    body = payloads.chat_request()
    log_path = folder / "output.log"
    started_s = time.monotonic()
    running = process.start(subject.command, stage.cores.gateway, log_path)

    def attempt() -> probe.Answer | None:
        _require_alive(running, name, log_path)
        headers = subject.headers()
        return None if headers is None else probe.ask(subject.url, headers, body, 10.0)

    try:
        start_s = probe.first_answer_s(attempt, started_s, _START_LIMIT_S)
        headers = subject.headers() or {}
        urls = {"chat": subject.url, "burst": subject.stream_url, "paced": subject.stream_url}
        targets = {kind: _target(stage, kind, url, headers) for kind, url in urls.items()}
        yield Live(name, running.pid, subject.setup, targets), start_s
        _require_alive(running, name, log_path)
    except BenchStopped:
        _require_alive(running, name, log_path)  # its end explains more than what followed
        raise
    finally:
        process.stop(running)


def direct(stage: Stage) -> Live:
    """The upstream itself, without a gateway."""
    url = f"http://{stage.upstream}/v1/chat/completions"
    targets = {kind: _target(stage, kind, url, {}) for kind in KINDS}
    return Live(DIRECT, stage.upstream_pid, "", targets)


def calibrated(stage: Stage, live: Live, kind: str) -> None:
    """The subject is warm for this kind; how many it answers per second, and their size, are known."""
    checked(live, kind)
    target = live.targets[kind]
    requests = load.CONNECTIONS
    while True:
        run = load.at_full_speed(target, requests, stage.cores.load, limit_s=120.0)
        live.chats += requests if kind == "chat" else 0
        if run.succeeded < requests:
            message = (
                f"{live.name}: {run.failed} of {requests} {kind} requests failed while warming up"
            )
            raise BenchStopped(message)
        live.rates_s[kind] = run.rate_s
        if requests / run.rate_s >= _CALIBRATION_S or requests >= _CALIBRATION_REQUESTS_MAX:
            return
        requests = min(requests * 8, _CALIBRATION_REQUESTS_MAX)


def checked(live: Live, kind: str) -> None:
    """One answer of this kind is the upstream's, complete, and its size is known."""
    target = live.targets[kind]
    answer = probe.ask(target.url, target.headers, target.body_path.read_bytes(), 30.0)
    (probe.check_chat if kind == "chat" else probe.check_stream)(answer)
    live.answer_bytes[kind] = len(answer.body)


def _target(stage: Stage, kind: str, url: str, headers: Mapping[str, str]) -> load.Target:
    return load.Target(url, headers, stage.folder / f"{kind}.json")


def _require_alive(running: subprocess.Popen[bytes], name: str, log_path: Path) -> None:
    if running.poll() is not None:
        said = log_path.read_text(errors="replace")[-2000:]
        message = f"{name} ended by itself with code {running.returncode}:\n{said}"
        raise BenchStopped(message)
