"""One child process under its guard. Rule: started once, ended for certain, and it says why it ended."""

from __future__ import annotations

import asyncio
import json
import mmap
import signal
import sys
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from gatemill.core import children
from gatemill.core.errors import ModelLoadFailed
from gatemill.local.guard import inherited
from gatemill.wire.failure import clean

_GUARD = Path(__file__).with_name("guard.py")
_TAIL_BYTES = 4096
_TAIL_LINES = 8
_LATE_S = 2.0  # the guard's own time, beyond the child's
_PAGE_BYTES = mmap.PAGESIZE


class Command(Struct, frozen=True):
    """What is run, and within which bounds."""

    argv: tuple[str, ...]
    log: Path  # its output; a second file of the same name and ".1" holds what was before
    log_bytes: int  # both together
    stop_timeout_s: float  # between SIGTERM and SIGKILL
    variables: dict[
        str, str
    ] = {}  # of its environment; of ours it gets what guard.harmless() leaves


class Process:
    """A running child."""

    def __init__(self, command: Command, guard: asyncio.subprocess.Process, pid: int) -> None:
        self.pid = pid  # the child's, not the guard's
        self._command = command
        self._guard = guard

    @property
    def is_running(self) -> bool:
        """It has not ended, as far as we have heard."""
        return self._guard.returncode is None

    async def wait(self) -> int:
        """Its exit code, once it has ended; 128 and more are signals."""
        return await self._guard.wait()

    async def stop(self) -> None:
        """It has ended: by itself within its time, otherwise by force."""
        if self.is_running:
            with suppress(ProcessLookupError):  # it has ended in this moment
                self._guard.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._command.stop_timeout_s + _LATE_S):
                await self._guard.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._guard.kill()  # the child hears of it by a signal of its own
            await self._guard.wait()

    async def last_words(self) -> str:
        """The last lines of its output, cleaned; "" when it said nothing."""
        return await asyncio.get_running_loop().run_in_executor(None, tail, self._command.log)


async def start(command: Command) -> Process:
    """The command runs. Raises ModelLoadFailed when it cannot be run at all."""
    guard = await children.start(
        *(sys.executable, "-I", "-S", str(_GUARD)),
        *(str(command.log), str(command.log_bytes), str(command.stop_timeout_s)),
        stdin=asyncio.subprocess.PIPE,  # ends with us, however we end
        stdout=asyncio.subprocess.PIPE,
        env=inherited(),
        start_new_session=True,  # Ctrl-C at our terminal is ours alone: requests end first
    )
    assert guard.stdin is not None
    assert guard.stdout is not None
    told = {"argv": command.argv, "variables": command.variables}
    runs = False
    try:
        guard.stdin.write(json.dumps(told).encode() + b"\n")
        said = (await guard.stdout.readline()).decode(errors="replace").strip()
        runs = said.isdecimal()
    finally:
        if not runs:
            guard.stdin.close()  # also where the start was called off: nobody else knows of it
            await guard.wait()
    if not runs:
        raise ModelLoadFailed(f"The model's command did not start: {clean(said) or 'no reason'}.")
    return Process(command, guard, int(said))


def tail(log: Path) -> str:
    """The last lines of a file, cleaned; "" when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return clean(" | ".join(line.strip() for line in lines[-_TAIL_LINES:] if line.strip())[-500:])


def resident_bytes(pid: int) -> int:
    """Memory that a process has in use; 0 where the system does not say (other than Linux)."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * _PAGE_BYTES
