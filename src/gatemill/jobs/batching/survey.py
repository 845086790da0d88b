"""Reading an input file before anything is asked: is it usable, and where do its parts begin?

Rule: one pass, one line in memory at a time. A bad line fails alone, later; the file fails only when
no line of it can be told from the others, or none is good.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from hashlib import blake2b
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.jobs.batching.words import Span
from gatemill.ledger.batches import LineProblem
from gatemill.wire import batch as wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gatemill.wire.batch import Line

PROBLEMS_MAX = 100  # told of one file
TURN_LINES = 32  # between two turns of the loop, about 0.5 ms of checking
_DIGEST_BYTES = 16  # of a custom_id that is remembered


class Surveyed(Struct, frozen=True):
    """What is in a file. Where there are problems, it is not usable."""

    total: int  # lines that are not blank
    spans: tuple[Span, ...]
    problems: tuple[LineProblem, ...]


async def survey(
    content: AsyncGenerator[bytes, None], endpoint: str, lines_max: int, part_lines: int
) -> Surveyed:
    """What is in the file; `part_lines` lines make a part. Raises what reading raises."""
    seen = _Seen(endpoint, lines_max, part_lines)
    async with aclosing(lines(content)) as found:
        async for line in found:
            if not seen.take(line):
                break
    return seen.verdict()


async def lines(
    content: AsyncGenerator[bytes, None], number: int = 1, start: int = 0, skip: int = 0
) -> AsyncGenerator[Line, None]:
    """The lines of a file, or of the rest of it.

    The first byte that is not skipped is number `start` of the file, and begins line `number`.
    """
    splitter = wire.Splitter(number, start)
    async with aclosing(content) as pieces:
        async for piece in pieces:
            for count, line in enumerate(splitter.feed(piece[skip:])):
                if count % TURN_LINES == 0:
                    await asyncio.sleep(0)  # a piece has thousands of lines: others get their turn
                yield line
            skip = 0
    for line in splitter.close():
        yield line


class _Seen:
    """What has been read so far."""

    def __init__(self, endpoint: str, lines_max: int, part_lines: int) -> None:
        self._endpoint = endpoint
        self._lines_max = lines_max
        self._part_lines = part_lines
        self._total = 0
        self._good = 0
        self._ids: set[bytes] = set()
        self._spans: list[Span] = []
        self._in_part = 0  # lines of the last span
        self._fatal: list[LineProblem] = []
        self._bad: list[LineProblem] = []

    def take(self, line: Line) -> bool:
        """Whether to go on."""
        self._total += 1
        if self._total > self._lines_max:
            words = (
                f"The file has more than {self._lines_max} lines. Split it into several batches."
            )
            self._fatal = [LineProblem(code="too_many_lines", message=words, line=line.number)]
            return False
        self._place(line)
        checked = wire.check(line, self._endpoint)
        if checked.problem is None:
            self._good += 1
        elif len(self._bad) < PROBLEMS_MAX:
            why = checked.problem
            self._bad.append(
                LineProblem(code=why.code, message=why.message, param=why.param, line=line.number)
            )
        if checked.custom_id is not None:
            self._remember(checked.custom_id, line.number)
        return len(self._fatal) < PROBLEMS_MAX

    def verdict(self) -> Surveyed:
        """What all lines together are."""
        problems = self._fatal
        if not problems and not self._total:
            words = "The file is empty. Write one request in a line."
            problems = [LineProblem(code="empty_file", message=words)]
        elif not problems and not self._good:
            problems = self._bad
        return Surveyed(self._total, tuple(self._spans), tuple(problems))

    def _place(self, line: Line) -> None:
        if self._spans and self._in_part < self._part_lines:
            last = self._spans[-1]
            self._spans[-1] = Span(last.first, line.number, last.start)
            self._in_part += 1
        else:
            self._spans.append(Span(line.number, line.number, line.start))
            self._in_part = 1

    def _remember(self, custom_id: str, number: int) -> None:
        digest = blake2b(custom_id.encode("utf-8", "replace"), digest_size=_DIGEST_BYTES).digest()
        if digest in self._ids:
            words = "This custom_id stands in an earlier line too. Give each line one of its own."
            self._fatal.append(
                LineProblem(
                    code="duplicate_custom_id", message=words, param="custom_id", line=number
                )
            )
        self._ids.add(digest)
