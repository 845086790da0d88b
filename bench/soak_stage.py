"""The gateway and the provider of the soak, and their two accounts. Rule: real processes, ended afterwards; the exit code is a figure."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from bench import process
from bench.failures import BenchStopped
from bench.machine import free_port
from bench.soak_inside import TRACE
from bench.soak_mix import CACHE_TTL_S, FALLING, TARGETS
from bench.soak_provider import PATH, Count
from bench.soak_watch import Watched
from bench.soak_wire import KEEP_ALIVE_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_START_S_MAX = 60.0
_STOP_S_MAX = 60.0
_PAUSE_S = 0.05
INPUT_USD, OUTPUT_USD = 1, 2  # per million tokens, so that a token costs whole micro-dollars
_LOUD = (b'"level":"error"', b'"level":"critical"', b"Traceback")
_LOUD_MAX = 20
_HEAD = """
[server]
discover = false
log = "json"
[limits]
keep_alive_s = {keep_alive_s}
[providers.up]
kind = "openai"
base_url = "{provider}/v1"
api_key = "sk-up"
[providers.claude]
kind = "anthropic"
base_url = "{provider}"
api_key = "sk-claude"
[providers.bad]
kind = "openai"
base_url = "{provider}/v1"
api_key = "sk-bad"
timeout = {{ first_token_s = 0.5, between_chunks_s = 5 }}
breaker = {{ open_s = 2, open_max_s = 5 }}
"""


class Booked(Struct):
    """What the ledger says of one of the provider's models."""

    attempts: int
    input_tokens: int
    output_tokens: int
    cost_microusd: int
    unsettled: int
    unreached: int = 0  # attempts, free of charge, of which no byte may have come to the provider


class Stage(Struct):
    """Both of them, running."""

    port: int
    provider_url: str
    key: str
    watched: Watched
    gateway: subprocess.Popen[bytes]
    data: Path
    log: Path

    def metered(self) -> dict[str, Count]:
        """What the provider has counted, by model."""
        with urllib.request.urlopen(self.provider_url + PATH, timeout=30) as answer:
            return msgspec.json.decode(answer.read(), type=dict[str, Count])

    def end(self) -> int:
        """The gateway has ended; its exit code, -9 when it had to be killed."""
        self.gateway.send_signal(signal.SIGTERM)
        try:
            return self.gateway.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.gateway.kill()
            return self.gateway.wait()

    def booked(self) -> dict[str, Booked]:
        """What the ledger has, by model of the provider; only after `end`."""
        query = (
            "SELECT target_model, count(*), sum(input_tokens + cache_read_tokens + cache_write_tokens),"
            " sum(output_tokens), sum(coalesce(cost_microusd, 0)), sum(unsettled),"
            " sum(error IN ('upstream_unreachable', 'upstream_timeout') AND first_token_ms IS NULL"
            " AND input_tokens + output_tokens + coalesce(cost_microusd, 0) = 0) FROM usage"
            " WHERE provider IN ('up', 'claude', 'bad') GROUP BY target_model"
        )
        with contextlib.closing(sqlite3.connect(self.data / "gatemill.db")) as database:
            return {model: Booked(*rest) for model, *rest in database.execute(query)}

    def loud(self) -> list[str]:
        """The first lines of the log that say error."""
        found: list[str] = []
        with self.log.open("rb") as lines:
            for line in lines:
                if any(mark in line for mark in _LOUD) and len(found) < _LOUD_MAX:
                    found.append(line.decode(errors="replace").strip()[:500])
        return found


@contextlib.contextmanager
def opened(
    folder: Path, cores: Sequence[int], idle_s: float, *, traced: bool = False
) -> Iterator[Stage]:
    """A gateway with an empty ledger in `folder`, and its provider."""
    provider_port, port = free_port(), free_port()
    provider_url = f"http://127.0.0.1:{provider_port}"
    config = folder / "gatemill.toml"
    config.write_text(configuration(provider_url))
    data, log, inside = folder / "data", folder / "gateway.log", folder / "inside.json"
    command = (
        *(sys.executable, "-m", "bench.soak_inside", str(inside)),
        *((TRACE,) if traced else ()),
        "serve",
        *("--config", str(config), "--port", str(port), "--data-dir", str(data)),
    )
    meter = (sys.executable, "-m", "bench.soak_provider", str(provider_port), str(idle_s))
    provider = process.start(meter, cores, folder / "provider.log")
    gateway = None
    try:
        _wait(provider, provider_url + PATH, folder / "provider.log")
        gateway = process.start(command, cores, log)
        _wait(gateway, f"http://127.0.0.1:{port}/readyz", log)
        key = (data / "dev.key").read_text().strip()
        watched = Watched(gateway.pid, data, inside)
        yield Stage(port, provider_url, key, watched, gateway, data, log)
    finally:
        if gateway is not None:
            process.stop(gateway)
        process.stop(provider)


def configuration(provider_url: str) -> str:
    """The gateway's TOML."""
    parts = [_HEAD.format(provider=provider_url, keep_alive_s=KEEP_ALIVE_S)]
    for name, (provider, model) in TARGETS.items():
        parts.append(f'[models.{name}]\ntargets = ["{provider}/{model}"]\n')
        if name in FALLING:
            parts.append('fallbacks = ["good"]\n')
        if name == "cached":
            parts.append(f"cache = {{ ttl_s = {CACHE_TTL_S} }}\n")
        prices = f"input = {INPUT_USD}\noutput = {OUTPUT_USD}\n"
        parts.append(f"[prices.{json.dumps(f'{provider}/{model}')}]\n{prices}")
    return "".join(parts)


def _wait(running: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until_s = time.monotonic() + _START_S_MAX
    while time.monotonic() < until_s and running.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(_PAUSE_S)
    raise BenchStopped(f"it did not start:\n{log.read_text(errors='replace')[-2000:]}")
