"""A result as Markdown. Rule: pure; the README shows it word for word."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from bench.figures import DIRECT, ROWS, pairs

if TYPE_CHECKING:
    from bench.figures import Result, Row, Spread

_TITLES = {"gatemill": "Gatemill", "litellm": "LiteLLM"}
_ABSENT = "-"


def render(result: Result) -> str:
    """Head, table and notes, ending in a line break."""
    subjects = [name for name in result.subjects if name != DIRECT]
    head = ["measure", *map(_title, subjects)]
    head += [f"{_title(upper)} / {_title(lower)}" for upper, lower in pairs(subjects)]
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    lines += [_line(_cells(row, result, subjects)) for row in ROWS if row.id in result.figures]
    notes = [f"- {note}" for note in [*_setups(result, subjects), *result.notes]]
    return "\n".join([_origin(result), "", *lines, "", *notes, ""])


def number(value: float, digits: int) -> str:
    """With thousands separators and so many digits after the point."""
    return f"{value:,.{digits}f}"


def times(value: float) -> str:
    """A ratio with as many digits as it is worth."""
    if value >= 100:
        return f"{value:,.0f}x"
    return f"{value:.1f}x" if value >= 10 else f"{value:.2g}x" if value < 0.1 else f"{value:.2f}x"


def _cells(row: Row, result: Result, subjects: list[str]) -> list[str]:
    values = result.figures[row.id]
    cells = [row.title]
    for name in subjects:
        known = values.get(name)
        cells.append(number(statistics.median(known), row.digits) if known else _ABSENT)
    spreads = result.ratios.get(row.id, {})
    for upper, lower in pairs(subjects):
        cells.append(_ratio(spreads.get(f"{upper}/{lower}")))
    return cells


def _ratio(spread: Spread | None) -> str:
    return _ABSENT if spread is None else times(spread.median)


def _origin(result: Result) -> str:
    machine = result.machine
    memory_gb = machine.memory_bytes / 1e9
    return (
        f"`{result.command}`, {result.date[:10]}, {machine.cores} cores of {machine.processor}, "
        f"{memory_gb:.0f} GB, {machine.system}, Python {machine.python}."
    )


def _setups(result: Result, subjects: list[str]) -> list[str]:
    named = [f"{_title(name)} {result.versions.get(name, '')}".strip() for name in subjects]
    setups = [result.setups.get(name, "") for name in subjects]
    return [f"{name}: {setup}." for name, setup in zip(named, setups, strict=True)]


def _title(name: str) -> str:
    return _TITLES.get(name, name)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
