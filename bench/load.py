"""Load from h2load: an exact number of requests, counted bytes. Rule: it reports, it does not judge.

h2load rather than wrk: wrk stops after a time and leaves requests under way whose CPU time is
counted and whose answers are not, which is a tenth of a slow gateway's round.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from bench import process
from bench.failures import BenchStopped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONNECTIONS = 64
PACED_CONNECTIONS = 4

_RATE = re.compile(r"finished in [^,]+, ([\d.]+) req/s")
_COUNTS = re.compile(r"requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded")
_DATA = re.compile(r"traffic: .*, \S+ \((\d+)\) data")


class Target(Struct, frozen=True):
    """Where requests go, and with what."""

    url: str
    headers: Mapping[str, str]
    body_path: Path


class Load(Struct, frozen=True):
    """One run of h2load."""

    requests: int  # asked for
    succeeded: int  # answered with 2xx
    rate_s: float  # answers per second
    body_bytes: int  # of all answers, without heads and chunk sizes
    latencies_us: list[int]  # ascending; of the succeeded, only with `at_rate`

    @property
    def failed(self) -> int:
        """Requests without a good answer."""
        return self.requests - self.succeeded


def at_full_speed(target: Target, requests: int, cores: Sequence[int], limit_s: float) -> Load:
    """`requests` over `CONNECTIONS` connections, each sending the next after its answer."""
    command = _command(target, requests, CONNECTIONS)
    report_path = target.body_path.with_name("h2load.txt")
    return parse(_run(command, cores, limit_s, report_path), requests, "")


def at_rate(target: Target, rate_s: float, seconds: float, cores: Sequence[int]) -> Load:
    """`rate_s` requests per second, evenly spaced, with the time of each."""
    each_s = rate_s / PACED_CONNECTIONS
    requests = max(1, round(each_s * seconds)) * PACED_CONNECTIONS
    log_path = target.body_path.with_name("h2load.tsv")
    log_path.unlink(missing_ok=True)
    command = _command(target, requests, PACED_CONNECTIONS)
    # Connections are opened one after the other: at once, all would send in the same moment.
    command[1:1] = [
        f"--rps={each_s:g}",
        "--rate=1",
        f"--rate-period={max(1, round(1000 / rate_s))}ms",
        f"--log-file={log_path}",
    ]
    report_path = target.body_path.with_name("h2load.txt")
    output = _run(command, cores, 20.0 + 3 * seconds, report_path)
    return parse(output, requests, log_path.read_text())


def parse(output: str, requests: int, log: str) -> Load:
    """The figures of h2load's report and of its log file ("" without one)."""
    rate, counts, data = _RATE.search(output), _COUNTS.search(output), _DATA.search(output)
    if rate is None or counts is None or data is None:
        message = f"h2load said something else than expected:\n{output[-2000:]}"
        raise BenchStopped(message)
    return Load(
        requests=requests,
        succeeded=int(counts[3]),
        rate_s=float(rate[1]),
        body_bytes=int(data[1]),
        latencies_us=parse_log(log),
    )


def parse_log(log: str) -> list[int]:
    """Microseconds of the requests answered with 2xx, ascending."""
    rows = (line.split("\t") for line in log.splitlines())
    return sorted(int(row[2]) for row in rows if row[1].startswith("2"))


def _command(target: Target, requests: int, connections: int) -> list[str]:
    headers = {"content-type": "application/json", **target.headers}
    return [
        "h2load",
        "--h1",
        f"--requests={requests}",
        f"--clients={connections}",
        f"--data={target.body_path}",
        *(f"--header={name}: {value}" for name, value in headers.items()),
        target.url,
    ]


def _run(command: list[str], cores: Sequence[int], limit_s: float, report_path: Path) -> str:
    report_path.unlink(missing_ok=True)
    generator = process.start(command, cores, report_path)
    try:
        generator.wait(limit_s)
    except subprocess.TimeoutExpired:
        message = f"{command[-1]} took more than {limit_s:.0f} s for {command[2]}"
        raise BenchStopped(message) from None
    finally:
        process.stop(generator)
    return report_path.read_text()
