"""`gatemill chat --compare`: answers of several models as they come, side by side. Rule: one thread, one model."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from msgspec import Struct, field

from gatemill.cli.answers_shown import footer, told
from gatemill.cli.failure import Failure
from gatemill.cli.stream import Summary
from gatemill.cli.terminal import console, print_json, print_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from gatemill.cli.stream import Gateway

_FRAMES_PER_S = 8
_COLUMN_MIN = 30  # columns of a terminal that one answer needs


class _Side(Struct):
    """One model's answer; its thread writes, the screen reads."""

    name: str
    summary: Summary = field(default_factory=Summary)
    text: str = ""
    failure: str = ""
    done: bool = False

    def ask(self, gateway: Gateway, question: str) -> None:
        try:
            for piece in gateway.chat(self.name, question, self.summary):
                self.text += piece
        except Failure as failure:
            self.failure = failure.message
        finally:
            self.done = True

    @property
    def footer(self) -> str:
        if self.failure:
            return self.failure
        return footer(self.summary) if self.done else "…"


def compare(gateway: Gateway, names: Sequence[str], question: str, *, as_json: bool) -> None:
    """All have answered, and it was shown. Raises Failure when none could."""
    sides = [_Side(name) for name in names]
    threads = [
        threading.Thread(target=side.ask, args=(gateway, question), daemon=True) for side in sides
    ]
    for thread in threads:
        thread.start()
    if as_json or not sys.stdout.isatty():
        for thread in threads:
            thread.join()
        _print(sides, as_json=as_json)
    else:
        _draw(sides, threads)
    if all(side.failure for side in sides):
        raise Failure(sides[0].failure, fix="gatemill models lists the names")


def _print(sides: Sequence[_Side], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {"asked": side.name, **told(side.text, side.summary), "error": side.failure or None}
                for side in sides
            ]
        )
        return
    for side in sides:
        print_text(f"## {side.name}\n\n{side.text}\n\n{side.footer}\n")


def _draw(sides: Sequence[_Side], threads: Sequence[threading.Thread]) -> None:
    from rich.live import Live

    screen = console()
    # While it comes the screen shows its end; afterwards all of it stays.
    with Live(console=screen, refresh_per_second=_FRAMES_PER_S, transient=True) as live:
        while not all(side.done for side in sides):
            live.update(_table(sides, screen.width, screen.height - 6))
            for thread in threads:
                thread.join(1 / _FRAMES_PER_S / len(threads))
    screen.print(_table(sides, screen.width, 0))


def _table(sides: Sequence[_Side], width: int, lines_max: int) -> Table:
    """Side by side where there is room, one below the other elsewhere; 0 shows all lines."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    per_side = width // len(sides) - 2
    beside = per_side >= _COLUMN_MIN
    room = max(3, lines_max if beside else lines_max // len(sides)) if lines_max else 0
    parts = []
    for side in sides:
        text = _end(side.text, per_side if beside else width, room)
        parts.append(
            Group(
                Text(side.name, style="bold"),
                Text(text),
                Text(side.footer, style="red" if side.failure else "dim"),
            )
        )
    table = Table.grid(padding=(0, 2), expand=True)
    for _ in sides if beside else (None,):
        table.add_column(ratio=1, overflow="fold")
    if beside:
        table.add_row(*parts)
    else:
        for part in parts:
            table.add_row(part)
    return table


def _end(text: str, width: int, lines_max: int) -> str:
    """Its last lines on a screen so wide; 0 is all of it."""
    if not lines_max:
        return text
    return text[-lines_max * width :]
