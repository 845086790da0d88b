"""Runtimes of the test's own for the shelf, and an engine that hands them out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from gatemill.core.call import Timeouts
from gatemill.core.model import ModelSpec
from gatemill.core.ports import Incoming, Outgoing
from gatemill.local.shelf import Shelf
from gatemill.upstream.inline import Events

if TYPE_CHECKING:
    from collections.abc import Callable


MIB = 1_048_576
GOOD = Incoming(200, {}, b"{}")


class Fake:
    """A runtime whose answers wait for `gate`."""

    pid = None
    restarts = 0
    waiting = 0

    def __init__(self, spec: ModelSpec, play: Play) -> None:
        self.memory_bytes = spec.options.get("bytes", 0)
        self.spec, self.play = spec, play
        self.closed = False

    async def exchange(self, out, timeouts, deadline_s):
        self.play.asked.append(out)
        if self.play.exchange is not None:
            return await self.play.exchange(self, out, timeouts, deadline_s)
        await self.play.gate.wait()
        assert not self.closed, "a request came to a model that had left"
        return self.play.answer

    async def open(self, out, timeouts, deadline_s):
        return Events([b"one", b"two"])

    async def close(self) -> None:
        self.closed = True
        self.play.closed.append(self.spec.name)


class Play:
    """The engine `head`, in place of the real one."""

    def __init__(self) -> None:
        self.made: list[Fake] = []
        self.asked: list[Outgoing] = []
        self.closed: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.loading = asyncio.Event()
        self.loading.set()
        self.error: Exception | None = None
        self.answer = GOOD
        self.exchange: Any = None  # answers instead, where it is set

    async def load(self, spec, tools):
        await tools.reserve(spec, spec.options.get("bytes", 0))
        await self.loading.wait()
        if self.error is not None:
            raise self.error
        self.made.append(Fake(spec, self))
        return self.made[-1]


def spec(name: str = "m", **options) -> ModelSpec:
    return ModelSpec(name, "classify", "head", options=options)


def asking(name: str = "m") -> Outgoing:
    return Outgoing("/predict", b'{"model":"%b","input":"x"}' % name.encode())


async def ask(shelf: Shelf, name: str = "m", deadline_s: float = 1e9) -> Incoming:
    return await shelf.exchange(asking(name), Timeouts(), deadline_s)


async def until(stands: Callable[[], bool]) -> None:
    """Others have had their turns until this holds."""
    for _ in range(100_000):
        if stands():
            return
        await asyncio.sleep(0)
    pytest.fail("that never came")


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def state(shelf: Shelf, name: str = "m") -> str:
    return {one.name: one.state for one in shelf.states()}[name]
