"""Children for tests: the fake provider as a local model's command, and tools to load it with."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatemill.core.clock import SystemClock
from gatemill.core.model import ModelSpec
from gatemill.local.parts import Tools
from gatemill.observe.metrics import Histogram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.ports import Incoming, Outgoing

# `gatemill fake-provider` without the command line, which is two thirds of its start.
_SERVE = """
import asyncio, sys
from gatemill.fake_provider.server import serve_forever
asyncio.run(serve_forever("127.0.0.1", int(sys.argv[1]), lambda _: None))
"""
FAKE = (sys.executable, "-c", _SERVE, "{port}")
PATIENCE_S = 60.0
_THREADS = 16  # field 20 of /proc/<pid>/stat, counted after the state


def spec(name: str = "fake", command: tuple[str, ...] = FAKE, **options: Any) -> ModelSpec:
    """A model that the fake provider answers for."""
    given = {"command": list(command), "health": "/livez", "stop_timeout_s": 2.0, **options}
    return ModelSpec(name=name, task="generate", engine="command", options=given)


def tools(data_dir: Path) -> Tools:
    """Tools that grant everything."""
    pool = ThreadPoolExecutor(1)

    async def folder(wanted: ModelSpec) -> Path:
        return Path(wanted.source.removeprefix("file:"))

    async def reserve(_wanted: ModelSpec, _bytes: int) -> None:
        return None

    async def ask(_provider: str, _out: Outgoing) -> Incoming:
        raise AssertionError("a child asks nobody")

    async def embed(_model: str, _texts: Sequence[str]) -> list[list[float]]:
        raise AssertionError("a child needs no vectors")

    return Tools(
        clock=SystemClock(),
        data_dir=data_dir,
        workers=1,
        compute=pool,
        files=pool,
        folder=folder,
        reserve=reserve,
        ask=ask,
        embed=embed,
        batches=lambda _name: Histogram("batches", "", (1,)),
    )


def kill(pid: int | None) -> None:
    """As the system does it when memory is short."""
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def lives(pid: int) -> bool:
    """The process is there, and more than a name in the table."""
    try:
        state, *more = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # the latter when it ends in between
        return False
    # While one of its threads is still to die, so are its sockets: they take connections.
    return state != "Z" or int(more[_THREADS]) > 1


def arguments_of_all() -> bytes:
    """What `ps` would show of all processes."""
    found = b""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            found += file.read_bytes()
    return found


async def until(true: Any) -> None:
    """Returns when the condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if true():
                return
            await asyncio.sleep(0.02)
