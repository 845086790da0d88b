"""`python -m bench.jobs`: how fast jobs are. Rule: arguments in, a table out, with what it was made by."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import os
import shlex
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from bench import machine, report
from bench.failures import BenchStopped
from bench.jobs_measures import MEASURES, QUICK, SLOT_S, Sizes
from bench.jobs_stage import Stage
from bench.machine import Machine
from bench.table import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

ENGINES = ("sqlite", "postgres")
_TITLES = {"sqlite": "SQLite", "postgres": "Postgres"}
ROWS = (  # id, what it is, digits, target
    ("accept_single_per_s", "accepted one by one, 64 callers, jobs/s", 0, "≥ 300"),
    ("accept_single_p99_ms", "the same, p99 of an answer, ms", 1, ""),
    ("accept_list_per_s", "accepted in lists of 100, jobs/s", 0, "≥ 2,000"),
    ("wait_300_s", "300 jobs of five seconds in one process, s", 2, "< 8"),
    ("wait_300_mb", "its memory meanwhile (RSS), MB", 0, "< 150"),
    ("batch_s", "OpenAI batch of 10,000 echo calls, s", 1, "< 30"),
    ("high_p50_ms", "start of a high job behind 10,000 low ones, p50, ms", 0, ""),
    ("high_max_ms", "the same, the slowest", 0, f"≤ {SLOT_S * 1000 + 100:.0f}"),
    ("typical_alone_p50_ms", "chat, 100 a second, the provider takes 100 ms, p50, ms", 1, ""),
    ("typical_alone_p99_ms", "the same, p99", 1, ""),
    ("typical_beside_p50_ms", "the same beside batches of echo calls, p50, ms", 1, ""),
    ("typical_beside_p99_ms", "the same, p99", 1, "≤ 1.5x alone"),
    ("echo_alone_p50_ms", "chat, 100 a second, built-in echo, p50, ms", 2, ""),
    ("echo_alone_p99_ms", "the same, p99", 2, ""),
    ("echo_beside_p50_ms", "the same beside batches of echo calls, p50, ms", 2, ""),
    ("echo_beside_p99_ms", "the same, p99", 2, ""),
    ("batch_beside_per_s", "lines of those batches answered meanwhile, a second", 0, "≥ 5 %"),
)


class Result(Struct):
    """One run. Everything the table says comes from here."""

    date: str  # UTC
    command: str
    machine: Machine
    figures: dict[str, dict[str, float]]  # row -> engine -> value
    notes: list[str]


def main(arguments: list[str]) -> int:
    """The exit code: 0, 1 when a run stopped, 2 when it could not begin."""
    return report.main(arguments, _parser(), _measured, render)


def render(result: Result) -> str:
    """Head and table, ending in a line break."""
    engines = [name for name in ENGINES if any(name in row for row in result.figures.values())]
    rows = [["measure", *(_TITLES[name] for name in engines), "target"]]
    for row, title, digits, target in ROWS:
        values = result.figures.get(row, {})
        if values:
            cells = [number(values[name], digits) if name in values else "-" for name in engines]
            rows.append([title, *cells, target])
    return report.table(result, rows)


def _measured(asked: argparse.Namespace, arguments: Sequence[str]) -> Result:
    names = _known("measure", asked.measures, tuple(MEASURES))
    engines = _known("engine", asked.engines, ENGINES)
    here = machine.describe()
    cores = machine.cores(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores.load)
    figures: dict[str, dict[str, float]] = {}
    notes = ["The server has a core of its own; the load, and Postgres, have the others."]
    if cores.gateway == cores.load:
        notes = ["One core for everything."]
    sizes = QUICK if asked.quick else Sizes()
    if asked.quick:
        notes.append("Quick: fewer jobs and lines than the table says.")
    for engine in engines:
        make = _databases(engine, asked.postgres)
        if make is None:
            notes.append("Postgres is not here: its column is left out (`--postgres URL`).")
            continue
        with tempfile.TemporaryDirectory(prefix="gatemill-bench-") as folder:
            stage = Stage(Path(folder), cores, make)
            for name in names:
                sys.stderr.write(f"bench: {engine}, {name}\n")
                found = asyncio.run(_run(name, stage, sizes))
                for row, value in found.items():
                    figures.setdefault(row, {})[engine] = value
    return Result(
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        command=shlex.join(["python", "-m", "bench.jobs", *arguments]),
        machine=here,
        figures=figures,
        notes=notes,
    )


async def _run(name: str, stage: Stage, sizes: Sizes) -> dict[str, float]:
    return await MEASURES[name](stage, sizes)


def _known(what: str, said: str, known: Sequence[str]) -> list[str]:
    names = said.split(",")
    unknown = sorted(set(names) - set(known))
    if unknown:
        message = f"no {what} {', '.join(unknown)}; there are {', '.join(known)}"
        raise BenchStopped(message, code=2)
    return names


def _databases(engine: str, url: str | None) -> Callable[[], AbstractContextManager[str]] | None:
    """What makes an empty database for each server; None where the engine is not here."""
    if engine == "sqlite":
        return _file
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    service, pytest = import_module("postgres_service"), import_module("pytest")
    try:
        server = url or service.address()
    except pytest.skip.Exception:
        return None
    return partial(_database, service.command, server)


@contextlib.contextmanager
def _file() -> Iterator[str]:
    yield ""  # in the server's own folder


@contextlib.contextmanager
def _database(command: Callable[[str, str], object], server: str) -> Iterator[str]:
    name = f"gatemill_bench_{os.getpid()}"
    # In a thread, for `command` has an event loop of its own.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(command, server, f"CREATE DATABASE {name}").result()
        try:
            yield f"{server}/{name}"
        finally:
            thread.submit(command, server, f"DROP DATABASE {name} WITH (FORCE)").result()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.jobs", description="Jobs and batches on SQLite and Postgres."
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="fewer of each; the numbers mean little")
    add("--measures", metavar="A,B", default=",".join(MEASURES), help="default: %(default)s")
    add("--engines", metavar="A,B", default=",".join(ENGINES), help="default: %(default)s")
    add("--postgres", metavar="URL", help="a server whose user may create databases")
    add("--out", metavar="FILE", default="bench-out/jobs.json", help="default: %(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
