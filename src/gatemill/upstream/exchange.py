"""One request and its answer on a connection. Rule: outlives neither, and is used once.

A connection is reused, an exchange never is: whoever still holds one after its end can do no harm
to the next caller on the same connection.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from gatemill.core.errors import GatemillError, UpstreamBadReply
from gatemill.core.ports import Incoming

if TYPE_CHECKING:
    import asyncio

    from gatemill.core.ports import Sink, Source
    from gatemill.upstream.connection import Connection

ANSWER_BYTES_MAX = 64 << 20  # a complete answer, decoded; a larger one is UpstreamBadReply
DECODED_BYTES_MAX = 1 << 30  # all that one compressed answer may become
FAILURE_BYTES_MAX = 1 << 20  # an error body; what is longer is cut, not refused


class Exchange:
    """What is known of one answer so far; the source of its bytes when it is a stream."""

    __slots__ = (
        "_failure",
        "_inflate",
        "_parts",
        "_received_bytes",
        "_sink",
        "between_s",
        "connection",
        "ended",
        "expires_s",
        "future",
        "headers",
        "phase",
        "status",
        "stream",
        "total_expires_s",
    )

    def __init__(self, future: asyncio.Future[Incoming | Source], *, stream: bool) -> None:
        self.future: asyncio.Future[Incoming | Source] | None = future
        self.stream = stream  # the caller wants a source; cleared when the answer is not a stream
        self.connection: Connection | None = None  # set by send, cleared at the end or by abort
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.phase = "first_token_s"  # which timeout runs
        self.expires_s = 0.0  # loop time at which the sweep gives up
        self.between_s = 0.0
        self.total_expires_s = 0.0
        self.ended = False  # the answer is complete
        self._parts: list[bytes] = []  # body not yet delivered
        self._received_bytes = 0
        self._sink: Sink | None = None
        self._inflate: Inflater | None = None
        self._failure: GatemillError | None = None  # came before there was a sink to tell

    # --- Called by the connection ---------------------------------------------------------------

    def begin(self, status: int) -> None:
        """Headers are complete."""
        self.status = status
        encoding = self.header(b"content-encoding")
        if encoding:
            self._inflate = inflater(encoding)
        if not self.stream:
            return
        kind = self.header(b"content-type").lower()
        if 200 <= status < 300 and kind.startswith(b"text/event-stream"):
            self._resolve(self)
        else:
            self.stream = False

    def body(self, data: bytes) -> None:
        """The next piece of the body."""
        if self._inflate is not None:
            data = self._inflate.feed(data)
        if self.stream:
            self._parts.append(data)
            return
        self._received_bytes += len(data)
        if self._received_bytes > ANSWER_BYTES_MAX:
            raise UpstreamBadReply("The provider's answer is larger than 64 MiB.")
        if self.status < 300 or self._received_bytes <= FAILURE_BYTES_MAX + len(data):
            self._parts.append(data)

    def flush(self) -> None:
        """Push what has come to the sink, once per read."""
        parts = self._parts
        if self._sink is None or not parts:
            return
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        if data:
            self._sink.feed(data)

    def end(self) -> None:
        """The answer is complete; the connection has been released."""
        if self._inflate is not None and not self._inflate.is_whole:
            self.fail(UpstreamBadReply("The provider's compressed answer is cut short."))
            return
        self.ended = True
        self.connection = None
        if self.stream:
            self.flush()
            self._close(None)
            return
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        self._resolve(Incoming(self.status, self._names(), body))

    def fail(self, error: GatemillError) -> None:
        """The answer will not be complete."""
        self.connection = None
        future, self.future = self.future, None
        if future is not None:
            if not future.done():
                future.set_exception(error)
            return
        self._failure = error
        if self._sink is not None:
            self.flush()
            self._close(error)

    def header(self, name: bytes) -> bytes:
        """A header's value, b"" when absent; `name` in lower case."""
        for key, value in self.headers:
            if len(key) == len(name) and key.lower() == name:
                return value
        return b""

    # --- ports.Source ------------------------------------------------------------------------------

    def attach(self, sink: Sink) -> None:
        """Deliver to `sink`, at once what has come already."""
        self._sink = sink
        self.flush()
        if self.ended or self._failure is not None:
            self._close(self._failure)

    def pause(self) -> None:
        """Stop reading; the clock between chunks stops too."""
        if self.connection is not None:
            self.expires_s = self.total_expires_s
            self.connection.pause()

    def resume(self) -> None:
        """Read again."""
        if self.connection is not None:
            self.connection.resume()

    def abort(self) -> None:
        """Close the connection: an answer in progress cannot be stopped otherwise in HTTP/1.1."""
        self._sink = self.future = None
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.abort()

    # --- Inside ----------------------------------------------------------------------------------

    def _resolve(self, value: Incoming | Exchange) -> None:
        future, self.future = self.future, None
        if future is not None and not future.done():
            future.set_result(value)

    def _close(self, error: GatemillError | None) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.close(error)

    def _names(self) -> dict[str, str]:
        # Only failures are asked for their headers, so good answers do not pay for the dictionary.
        if self.status < 300:
            return {}
        return {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in self.headers}


def inflater(encoding: bytes) -> Inflater | None:
    """What decodes this content encoding; None for identity. Raises UpstreamBadReply."""
    encoding = encoding.strip().lower()
    if encoding in (b"", b"identity"):
        return None
    if encoding not in (b"gzip", b"x-gzip", b"deflate"):
        raise UpstreamBadReply("The provider's answer has an unknown content encoding.")
    return Inflater()


class Inflater:
    """gzip or zlib, although we ask for identity; bounded, against bombs."""

    __slots__ = ("_begun", "_decompress", "_total_bytes")

    def __init__(self) -> None:
        self._decompress = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        self._total_bytes = 0
        self._begun = False

    @property
    def is_whole(self) -> bool:
        """The compressed data has come to its end; no data at all is whole, too."""
        return self._decompress.eof or not self._begun

    def feed(self, data: bytes) -> bytes:
        """Decoded bytes. Raises UpstreamBadReply for broken data and above ANSWER_BYTES_MAX at once."""
        out = b""
        while data:
            self._begun = True
            if self._decompress.eof:  # gzip may go on with another member
                self._decompress = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
            try:
                out += self._decompress.decompress(data, ANSWER_BYTES_MAX + 1 - len(out))
            except zlib.error:
                raise UpstreamBadReply("The provider's compressed answer is broken.") from None
            if len(out) > ANSWER_BYTES_MAX or self._total_bytes + len(out) > DECODED_BYTES_MAX:
                raise UpstreamBadReply("The provider's answer is larger than 64 MiB when decoded.")
            data = self._decompress.unused_data
        self._total_bytes += len(out)
        return out
