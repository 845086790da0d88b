"""What commands share: the environment, the settings, and ways to print.

Rule: the only reader of os.environ; nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from gatemill.cli.failure import Failure, Invalid

if TYPE_CHECKING:
    from rich.console import Console

    from gatemill.settings import Loaded

_NUMBER = re.compile(r"[\d,.+-]*")
_PIPE_COLUMNS = 10_000  # for output that is no terminal: a program reads it, nothing may be cut


def environment() -> Mapping[str, str]:
    """The process's environment."""
    return os.environ


def settings(
    config: Path | None, flags: Mapping[str, Any] | None = None, *, ask_servers: bool = True
) -> Loaded:
    """The effective settings. Raises Invalid with every error.

    Without `ask_servers`, model servers on this machine are not looked for.
    """
    from gatemill.settings import ConfigErrors, load
    from gatemill.settings.probe import listed

    try:
        return load(config, environment(), flags or {}, lister=listed if ask_servers else None)
    except ConfigErrors as error:
        raise Invalid([str(one) for one in error.errors]) from error


def console(stream: IO[str] | None = None) -> Console:
    """A rich console; styles only on a terminal that wants them."""
    from rich.console import Console

    stream = stream or sys.stdout
    return Console(
        file=stream,
        color_system="auto" if _wants_style(stream) else None,
        width=None if stream.isatty() else _PIPE_COLUMNS,
        highlight=False,
        emoji=False,
        markup=False,
    )


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on standard output, numbers to the right; cells are cut to the terminal's width, never in a pipe."""
    from rich.table import Table
    from rich.text import Text

    shown = list(rows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        counts = number > 0 and all(_NUMBER.fullmatch(row[number]) for row in shown)
        table.add_column(name, justify="right" if counts else "left", overflow="fold")
    for row in shown:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)


def print_json(value: Any) -> None:
    """JSON for programs, indented for people."""
    import msgspec

    print_text(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_text(text: str) -> None:
    """A line on standard output."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """A line for people, beside what a program may read from standard output."""
    sys.stderr.write(text + "\n")


def digits(value: float) -> str:
    """Four digits, and all of those before the point: 0.1235, 12.35, 12346."""
    return f"{value:.4g}" if abs(value) < 1_000 else f"{value:.0f}"


def paint(text: str, code: str, stream: IO[str]) -> str:
    """The text in an ANSI style ("1;31"), plain where nobody would see it."""
    return f"\x1b[{code}m{text}\x1b[0m" if _wants_style(stream) else text


def _wants_style(stream: IO[str]) -> bool:
    """Whether it is a terminal, and neither NO_COLOR (no-color.org) nor TERM=dumb is set."""
    environ = environment()
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def complain(failure: Failure) -> None:
    """The failure on standard error."""
    if isinstance(failure, Invalid):
        for line in failure.lines:
            note(line)
    note(f"{paint('gatemill:', '1;31', sys.stderr)} {failure.message}")
    if failure.fix:
        note(f"  {paint('fix:', '1', sys.stderr)} {failure.fix}")
