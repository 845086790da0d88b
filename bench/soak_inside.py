"""`gatemill serve` as it is, in a process that also tells what is inside it. Rule: it is asked by a signal, and costs nothing else.

`python -m bench.soak_inside FILE serve ...`: at a signal, FILE has the number of tasks and threads; with `--trace` after FILE
another signal also tells what there is and who has allocated it, which makes all of it slower.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import threading
import tracemalloc
from collections import Counter
from pathlib import Path

import msgspec
from msgspec import Struct, field

from gatemill.cli.main import run

TRACE = "--trace"
SIGNAL = signal.SIGRTMIN  # no server has a meaning for these two
SIGNAL_TO_TRACE = signal.SIGRTMIN + 1
_PLACES = 60
_KINDS = 40


class Inside(Struct):
    """One look."""

    number: int = 0  # of the look, from 1
    tasks: int = 0
    threads: int = 0  # that Python knows
    blocks: int = 0  # of memory that Python's small objects hold, after a collection
    objects: int = 0  # that the garbage collector follows; these three only with TRACE
    kinds: dict[str, int] = field(default_factory=dict)
    places: list[str] = field(default_factory=list)


def main(arguments: list[str]) -> None:
    """The command has run."""
    path, rest = Path(arguments[0]), arguments[1:]
    looks = 0

    def look(number: int, frame: object) -> None:
        nonlocal looks
        del frame
        looks += 1
        found = Inside(number=looks, tasks=_tasks(), threads=threading.active_count())
        if number == SIGNAL_TO_TRACE:
            gc.collect()  # what is left is held by somebody
            found.blocks = sys.getallocatedblocks()
        if number == SIGNAL_TO_TRACE and tracemalloc.is_tracing():
            objects = gc.get_objects()
            found.objects = len(objects)
            found.kinds = dict(Counter(type(each).__name__ for each in objects).most_common(_KINDS))
            del objects
            found.places = _places()
        whole = path.with_suffix(".new")
        whole.write_bytes(msgspec.json.encode(found))
        whole.replace(path)

    if rest[0] == TRACE:
        rest = rest[1:]
        tracemalloc.start()
    signal.signal(SIGNAL, look)
    signal.signal(SIGNAL_TO_TRACE, look)
    run(rest)


def _tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # the loop has not begun, or has ended
        return 0


def _places() -> list[str]:
    """Bytes, pieces and line of those who hold most."""
    taken = tracemalloc.take_snapshot().statistics("lineno")[:_PLACES]
    return [f"{each.size} {each.count} {each.traceback}" for each in taken]


if __name__ == "__main__":
    main(sys.argv[1:])
