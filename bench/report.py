"""What the smaller benchmarks share: from arguments to a file and a table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from bench.failures import BenchStopped

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from bench.machine import Machine


class Run(Protocol):
    """What every result says of itself."""

    date: str  # UTC
    command: str
    machine: Machine
    notes: list[str]


R = TypeVar("R")


def main(
    arguments: Sequence[str],
    parser: argparse.ArgumentParser,
    measured: Callable[[argparse.Namespace, Sequence[str]], R],
    render: Callable[[R], str],
) -> int:
    """The exit code: 0, or that of a run that stopped. The result is in the file `--out`."""
    asked = parser.parse_args(arguments)
    try:
        result = measured(asked, arguments)
    except BenchStopped as stopped:
        sys.stderr.write(f"bench: {stopped}\n")
        return stopped.code
    out = Path(asked.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2))
    sys.stdout.write(render(result))
    return 0


def table(result: Run, rows: Sequence[Sequence[str]]) -> str:
    """What it was made by, the rows, the first of which is their head, and the notes."""
    here = result.machine
    memory = f"{here.memory_bytes / 1e9:.0f} GB"
    origin = (here.processor, memory, here.system, f"Python {here.python}")
    head, *rest = rows
    lines = [
        f"`{result.command}`, {result.date[:10]}, {here.cores} cores of {', '.join(origin)}.",
        "",
        _line(head),
        _line(["---", *("---:" for _ in head[1:])]),
        *map(_line, rest),
    ]
    notes = [f"- {note}" for note in result.notes]
    return "\n".join([*lines, "", *notes, *([""] if notes else [])])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
