"""A stream between two formats: upstream events -> hub chunks -> the caller's events.

Rule: knows no format; a ChunkReader and a ChunkWriter do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.errors import GatemillError, UpstreamInterrupted
from gatemill.wire import sse

if TYPE_CHECKING:
    from gatemill.core.call import Usage
    from gatemill.core.ports import ChunkReader, ChunkWriter, Json


class Translation:
    """One translated stream; satisfies ports.Transform."""

    __slots__ = ("_cutter", "_failure", "_reader", "_writer", "is_over", "started")

    def __init__(self, reader: ChunkReader, writer: ChunkWriter) -> None:
        self.started = False
        self.is_over = False  # the upstream's end mark has passed, or a failure that was held
        self._reader = reader
        self._writer = writer
        self._cutter = sse.Cutter()
        self._failure: GatemillError | None = None  # came behind events that had to leave first

    @property
    def usage(self) -> Usage | None:
        """What the upstream said so far."""
        return self._reader.usage

    def feed(self, data: bytes) -> bytes:
        """Events for the caller.

        A failure behind other events lets those out first, and is raised by the next call.
        """
        if self._failure is not None:
            raise self._failure
        out: list[bytes] = []
        try:
            for name, event in sse.events(self._cutter.feed(data)):
                for chunk in self._reader.read(name, event):
                    if not self.started:
                        self.started = _has_content(chunk)
                    out.append(self._writer.write(chunk))
        except GatemillError as error:
            if not self._reader.is_over:
                if not any(out):
                    raise
                self._failure = error
        self.is_over = self._reader.is_over or self._failure is not None
        return b"".join(out)

    def finish(self) -> bytes:
        """The closing events. Raises UpstreamInterrupted, or what feed held."""
        if self._failure is not None:
            raise self._failure
        if not self._reader.finished:
            raise UpstreamInterrupted("The provider's stream ended before the answer was complete.")
        return self._writer.finish(self._reader.usage)


def _has_content(chunk: Json) -> bool:
    for choice in chunk.get("choices", ()):
        if choice.get("finish_reason"):
            return True
        delta = choice.get("delta", {})
        if any(value for name, value in delta.items() if name != "role"):
            return True
    return False
