"""The guard `presidio`: Microsoft's analyser in a process of its own, started when it is first needed.

Rule: one request at a time; more than `waiting_max` are refused. What does not answer in time is ended
and started again, so a text that it chokes on harms nobody but its own request.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gatemill.core import children
from gatemill.core.errors import ExtraNotInstalled, GuardUnavailable
from gatemill.core.guard import Finding
from gatemill.local import presidio_child

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.call import Call

NAME = "presidio"
THRESHOLD = 0.5  # of its scores
LINE_BYTES_MAX = 64 << 20  # of an answer
CHILD = presidio_child.__file__
_PACKAGE = "presidio_analyzer"

_answer = msgspec.json.Decoder(presidio_child.Answer)


class Bounds(Struct, frozen=True):
    """How long one request may take, and how many may wait."""

    timeout_s: float
    waiting_max: int


class Presidio:
    """Satisfies core.guard.Remote. One for the house."""

    def __init__(self, options: presidio_child.Options, bounds: Bounds) -> None:
        """Raises ExtraNotInstalled."""
        if find_spec(_PACKAGE) is None:
            raise ExtraNotInstalled(
                "The guard presidio needs a package: pip install 'gatemill[presidio]'"
            )
        self.waiting = 0  # requests that it reads, or that wait for it
        self.restarts = 0  # because it did not answer
        self._options = options
        self._bounds = bounds
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._number = 0  # of the last request that was sent to the process

    async def judge(self, texts: Sequence[str], call: Call, side: str) -> Sequence[list[Finding]]:
        """What it finds in each text: kinds are its entities, in small letters. Raises GuardUnavailable."""
        if self.waiting >= self._bounds.waiting_max:
            raise GuardUnavailable(
                f"{self._bounds.waiting_max} requests wait for presidio. Retry later.",
                retry_after_s=1.0,
            )
        self.waiting += 1
        try:
            async with asyncio.timeout(self._bounds.timeout_s), self._turn:
                return await self._ask(texts)
        except TimeoutError:
            raise GuardUnavailable("Presidio did not answer in time. Send less text.") from None
        finally:
            self.waiting -= 1

    async def close(self) -> None:
        """The process has ended."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ask(self, texts: Sequence[str]) -> list[list[Finding]]:
        self._number += 1
        asked = presidio_child.Asked(self._number, list(texts))
        said: presidio_child.Answer | None = None
        try:
            process = self._process or await self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(msgspec.json.encode(asked) + b"\n")
            await process.stdin.drain()
            said = _answer.decode(await process.stdout.readline())
        except (OSError, ValueError, msgspec.DecodeError):
            raise GuardUnavailable("Presidio has ended. Retry later.") from None
        finally:
            if said is None:  # also when the caller has gone: what it says next is for nobody
                self.restarts += 1
                await self.close()
        if said.error:
            raise GuardUnavailable(f"Presidio cannot read: {said.error}")
        return [_findings(text, one) for text, one in zip(texts, said.found, strict=True)]

    async def _started(self) -> asyncio.subprocess.Process:
        """A process that has been told its options. Raises OSError."""
        pipe = asyncio.subprocess.PIPE
        process = self._process = await children.start(
            *(sys.executable, "-P", CHILD),
            stdin=pipe,
            stdout=pipe,
            stderr=asyncio.subprocess.DEVNULL,
            env={},  # it needs no secrets
            limit=LINE_BYTES_MAX,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(self._options) + b"\n")
        return process


def _findings(text: str, found: Sequence[presidio_child.Place]) -> list[Finding]:
    places = []
    for one in found:
        start = len(text[: one.start].encode("utf-8", "replace"))
        end = start + len(text[one.start : one.end].encode("utf-8", "replace"))
        places.append(Finding(start, end, NAME, one.kind, one.score))
    return places
