"""`python -m bench.serving`: models that run here, against the same graph without batches.

Rule: both in one process and one run, in turns; what counts is the ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import os
import shlex
import statistics
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from bench import machine, report
from bench.machine import Machine
from bench.serving_baseline import Unbatched
from bench.serving_idle import idle_mb
from gatemill.core.clock import SystemClock
from gatemill.core.model import ModelSpec
from gatemill.local.measure import WORDS, measure
from gatemill.local.shelf import Serving, Shelf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.ports import Transport

CLIENTS = (1, 8, 32)
TARGETS = {1: 1.0, 8: 1.0, 32: 1.25}  # the least ratio of requests a second
LAG_TARGET_MS = 15.0
WORDS_MAX = 40
LABELS = ("bad", "good")
_TICK_S = 0.002
_TASKS = {"embed": "embeddings", "classify": "predict"}


class Row(Struct):
    """One number of clients of one operation."""

    operation: str
    clients: int
    unbatched_per_s: float  # medians over the rounds
    gatemill_per_s: float
    ratio: float  # median of the rounds' ratios
    cpu_ratio: (
        float  # CPU of a request, unbatched / Gatemill: the same without other programs' noise
    )
    unbatched_p99_ms: float
    gatemill_p99_ms: float


class Result(Struct):
    """One run."""

    date: str  # UTC
    command: str
    machine: Machine
    model: str
    rows: list[Row]
    lag_p99_ms: float  # of the event loop, with all cores busy
    idle_mb: dict[str, float]  # of a server without and with [local], nothing loaded


def main(arguments: list[str]) -> int:
    """The exit code: 0."""
    return report.main(arguments, _parser(), _measured, render)


def _measured(asked: argparse.Namespace, arguments: Sequence[str]) -> Result:
    with tempfile.TemporaryDirectory(prefix="gatemill-bench-") as scratch:
        return asyncio.run(_run(asked, arguments, Path(scratch)))


def render(result: Result) -> str:
    """Head and table, ending in a line break."""
    here = result.machine
    where = f"{here.cores} cores of {here.processor}, {here.system}, Python {here.python}"
    lines = [
        f"`{result.command}`, {result.date[:10]}, {where}. {result.model}.",
        "",
        "| operation | clients | unbatched /s | Gatemill /s | ratio | by CPU | target | p99 unbatched | p99 |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row.operation} | {row.clients} | {row.unbatched_per_s:.0f} | {row.gatemill_per_s:.0f} |"
        f" {row.ratio:.2f}x | {row.cpu_ratio:.2f}x | ≥ {TARGETS[row.clients]:g}x | {row.unbatched_p99_ms:.0f} ms |"
        f" {row.gatemill_p99_ms:.0f} ms |"
        for row in result.rows
    ]
    idle = ", ".join(f"{name} {value:.1f} MB" for name, value in result.idle_mb.items())
    lag = f"{result.lag_p99_ms:.1f} ms (target < {LAG_TARGET_MS:g})"
    lines += ["", f"- Event loop's lag p99 at {CLIENTS[-1]} clients: {lag}."]
    lines += [f"- Idle server: {idle}."] if idle else []
    return "\n".join([*lines, ""])


async def _run(asked: argparse.Namespace, arguments: Sequence[str], scratch: Path) -> Result:
    rows: list[Row] = []
    lags: list[float] = []
    threads = len(os.sched_getaffinity(0))
    for task, operation in _TASKS.items():
        if asked.model and task != "embed":
            continue
        folder = Path(asked.model) if asked.model else _model(scratch / task, task)
        plain = Unbatched(folder, LABELS if task == "classify" else (), threads)
        shelf = Shelf(SystemClock(), Serving(data_dir=scratch, workers=threads))
        spec = ModelSpec("m", task, "onnx", f"file:{folder}")
        shelf.configure({"m": spec})
        await shelf.load(spec)
        for clients in CLIENTS:
            sys.stderr.write(f"bench: {operation}, {clients} clients\n")
            rows.append(await _compared(plain, shelf, spec, (operation, clients), asked))
        lags += await _lags(shelf, spec, asked.seconds * 2)
        await plain.close()
        await shelf.close()
    lags.sort()
    return Result(
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        command=shlex.join(["python", "-m", "bench.serving", *arguments]),
        machine=machine.describe(),
        model=asked.model or "An encoder of 6 layers, 384 wide, random weights, fp32",
        rows=rows,
        lag_p99_ms=lags[int(len(lags) * 0.99)],
        idle_mb={} if asked.quick else idle_mb(scratch),
    )


async def _compared(
    plain: Transport,
    shelf: Transport,
    spec: ModelSpec,
    what: tuple[str, int],
    asked: argparse.Namespace,
) -> Row:
    operation, clients = what
    load = (asked.seconds, WORDS_MAX)
    theirs, ours = [], []
    for number in range(asked.rounds):  # who begins takes turns, as the machine has its moods
        for one in (plain, shelf) if number % 2 else (shelf, plain):
            found = await measure(one, spec, clients, load)
            (ours if one is shelf else theirs).append(found)
    both = list(zip(theirs, ours, strict=True))
    return Row(
        operation=operation,
        clients=clients,
        unbatched_per_s=statistics.median(one["per_s"] for one in theirs),
        gatemill_per_s=statistics.median(one["per_s"] for one in ours),
        ratio=statistics.median(b["per_s"] / a["per_s"] for a, b in both),
        cpu_ratio=statistics.median(a["cpu_ms"] / b["cpu_ms"] for a, b in both),
        unbatched_p99_ms=statistics.median(one["p99_ms"] for one in theirs),
        gatemill_p99_ms=statistics.median(one["p99_ms"] for one in ours),
    )


async def _lags(shelf: Shelf, spec: ModelSpec, seconds: float) -> list[float]:
    """How late a timer fires, in ms, while all threads compute."""
    busy = asyncio.ensure_future(measure(shelf, spec, CLIENTS[-1], (seconds, WORDS_MAX)))
    found: list[float] = []
    while not busy.done():
        due_s = time.perf_counter() + _TICK_S
        await asyncio.sleep(_TICK_S)
        found.append(1e3 * (time.perf_counter() - due_s))
    await busy
    return found


def _model(folder: Path, task: str) -> Path:
    """A graph of MiniLM's size with random weights; it computes as long as a real one."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    models = import_module("onnx_models")
    size = models.Size(layers=6, width=384, heads=12, positions=256)
    found: Path = models.folder(folder, task, size, LABELS, WORDS)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.serving", description="Models that run here, against no batches."
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="short, and without idle servers")
    add("--seconds", type=float, default=4.0, help="of each measure; default: %(default)s")
    add("--rounds", type=int, default=5, help="default: %(default)s")
    add("--model", metavar="FOLDER", default="", help="an embedder of yours instead")
    add("--out", metavar="FILE", default="bench-out/serving.json", help="default: %(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
