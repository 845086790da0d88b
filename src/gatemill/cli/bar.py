"""How far something is: a bar on a terminal, a line now and then elsewhere. Rule: on standard error."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from gatemill.cli.terminal import console, note

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_LINE_EVERY_S = 10.0  # where nobody sees a bar
_NARROW = 60  # columns; below, the bar makes room for the words


class Bar:
    """Shown from the first `show` until `close`; what takes no time shows nothing."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._said_s = -_LINE_EVERY_S
        self._said = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self, current: int, total: int | None, text: str) -> None:
        """So far it is; `text` follows."""
        if sys.stderr.isatty():
            self._draw(current, total, text)
        else:
            self._tell(current, total, text)

    def close(self) -> None:
        """The bar stands still, and other text may follow."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _draw(self, current: int, total: int | None, text: str) -> None:
        if self._progress is None:
            self._progress = _progress()
            self._progress.start()
            self._task = self._progress.add_task("", total=total, completed=current, text=text)
        assert self._task is not None
        self._progress.update(self._task, completed=current, total=total, text=text)

    def _tell(self, current: int, total: int | None, text: str) -> None:
        line = f"{current}{f' of {total}' if total else ''} {text}".rstrip()
        now_s = time.monotonic()
        if line == self._said or (now_s - self._said_s < _LINE_EVERY_S and current != total):
            return
        self._said, self._said_s = line, now_s
        note(line)


def _progress() -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    screen = console(sys.stderr)
    counts = (MofNCompleteColumn(), TaskProgressColumn(), TimeRemainingColumn(compact=True))
    text = TextColumn("{task.fields[text]}")
    if screen.width < _NARROW:
        return Progress(*counts, text, console=screen, expand=False)
    return Progress(BarColumn(bar_width=None), *counts, text, console=screen, expand=True)
