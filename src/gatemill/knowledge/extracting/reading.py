"""Files into texts without holding anybody up. Rule: what may be hostile or slow runs in a child process."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

import msgspec

from gatemill.core import children
from gatemill.knowledge.extracting import child, formats
from gatemill.knowledge.extracting.limits import INVALID, SERVER, Limits, UnreadableError

CHILDREN_MAX = 2  # at once, in one process; others wait
HERE_BYTES = 65_536  # up to which a file that is no PDF is read in a thread of ours
_GRACE_S = 2.0  # for a child to come up and to answer


class Reading:
    """One for the house."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._room = asyncio.Semaphore(CHILDREN_MAX)

    async def text(self, data: bytes, filename: str) -> str:
        """The text of a file. Raises UnreadableError."""
        if len(data) <= HERE_BYTES and not formats.is_pdf(data):
            return await asyncio.to_thread(formats.read, data, filename, self.limits)
        async with self._room:
            return await self._in_child(data, filename)

    async def _in_child(self, data: bytes, filename: str) -> str:
        options = msgspec.json.encode(child.Options(filename, self.limits))
        pipe = asyncio.subprocess.PIPE
        try:
            process = await children.start(
                *(sys.executable, "-P", "-m", child.__name__),
                stdin=pipe,
                stdout=pipe,
                stderr=asyncio.subprocess.DEVNULL,
                env={},  # a file that breaks out finds no secrets
                start_new_session=True,
            )
        except OSError as error:
            raise UnreadableError(
                SERVER, f"No process could be started to read it ({error.strerror}). Add it again."
            ) from None
        try:
            said, _ = await asyncio.wait_for(
                process.communicate(b"%b\n%b" % (options, data)), self.limits.timeout_s + _GRACE_S
            )
        except TimeoutError:
            said = b""
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        return _told(said)


def _told(said: bytes) -> str:
    try:
        result = msgspec.json.decode(said, type=child.Result)
    except msgspec.DecodeError:  # it was killed: by its limits, or by us
        raise UnreadableError(INVALID, child.TOO_LARGE) from None
    if result.code:
        raise UnreadableError(result.code, result.message)
    return result.text
