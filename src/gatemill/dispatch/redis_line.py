"""A connection to Redis that may wait as long as a worker does. Rule: one command at a time.

The counters of `kv` share one pipelined socket, on which nobody may block; a worker that waits for a
message needs a socket of its own, and no speed.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, cast

from gatemill.core.errors import StartRefused

try:
    from hiredis import ProtocolError, Reader, ReplyError, pack_command
except ImportError as error:  # the extra is not installed
    raise StartRefused('Redis needs a package: pip install "gatemill[redis]".') from error

if TYPE_CHECKING:
    from gatemill.core.redis_address import Address

    Word = str | bytes | int | float
    Reply = Any  # bytes, int, None or a list of these

CONNECT_S = 5.0
_CHUNK_BYTES = 65_536


class Away(Exception):
    """Redis did not answer in time, not at all, or with an error; a few words say which."""


class Late(Away):
    """No reply in time; the connection is as good as before, and the reply may still come."""


class Line:
    """One open connection; not to be used after Away. Made by `connected`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._replies = Reader()

    async def call(self, *words: Word, patience_s: float) -> Reply:
        """The reply to a command. Raises Away."""
        self.send(*words)
        return await self.heard(patience_s)

    def send(self, *words: Word) -> None:
        """The command is on its way; each has its reply, to be heard in order."""
        self._writer.write(pack_command(cast("tuple[Any]", words)))

    async def heard(self, patience_s: float) -> Reply:
        """The next reply. Raises Away, and Late of its kind."""
        try:
            async with asyncio.timeout(patience_s):
                while (reply := self._replies.gets()) is False:
                    data = await self._reader.read(_CHUNK_BYTES)
                    if not data:
                        raise Away("connection closed")
                    self._replies.feed(data)
        except TimeoutError as error:
            raise Late("no reply in time") from error
        except (OSError, ProtocolError) as error:
            raise Away("connection lost") from error
        if isinstance(reply, ReplyError):
            raise Away(str(reply).split(" ", 1)[0])
        return reply

    def close(self) -> None:
        """The socket is released."""
        self._writer.transport.abort()


async def connected(to: Address) -> Line:
    """A connection that has introduced itself. Raises Away."""
    tls = ssl.create_default_context() if to.tls else None
    try:
        async with asyncio.timeout(CONNECT_S):
            line = Line(*await asyncio.open_connection(to.host, to.port, ssl=tls))
    except OSError as error:  # also TimeoutError and ssl.SSLError
        raise Away("no connection") from error
    greetings: list[tuple[Word, ...]] = [("SELECT", to.database)]
    if to.password:
        greetings.insert(0, ("AUTH", to.user or "default", to.password))
    with ExitStack() as unless_greeted:
        unless_greeted.callback(line.close)
        for words in greetings:
            await line.call(*words, patience_s=CONNECT_S)
        unless_greeted.pop_all()
    return line
