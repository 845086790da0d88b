"""uvicorn's protocol objects as guests of a connection.

Rule: a guest has the connection on loan. It sees the transport through `Lent`, so that the front
protocol stays in between: it hears of everything, knows whether the guest has written, and keeps
its limits also when the guest turns into a WebSocket.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Guest(Protocol):
    """What the door needs of uvicorn's protocol objects."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """The guest has the connection."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""

    def data_received(self, data: bytes) -> None:
        """Bytes of the caller."""

    def eof_received(self) -> bool | None:
        """The caller sends no more."""

    def pause_writing(self) -> None:
        """The caller does not read."""

    def resume_writing(self) -> None:
        """The caller reads again."""

    def shutdown(self) -> None:
        """End after the answer under way."""


class Lent(asyncio.Transport):
    """A transport as its guest sees it."""

    def __init__(self, transport: asyncio.Transport, adopt: Callable[[Any], None]) -> None:
        """`adopt` is called with the protocol that replaces the guest, uvicorn's for WebSockets."""
        super().__init__()
        self._transport = transport
        self._adopt = adopt
        self._reads = True  # the guest wants to hear more
        self._held = False  # the front protocol does not let it
        self.wrote = False  # since the request under way began; reset by the front protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Bytes for the caller."""
        self.wrote = True
        self._transport.write(data)

    def close(self) -> None:
        """Close once everything is written."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        """Read no more for now."""
        self._reads = False
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again, unless it is held."""
        self._reads = True
        if not self._held:
            self._transport.resume_reading()

    def hold(self) -> None:
        """Nothing is read until `release`, whatever the guest wants."""
        self._held = True
        self._transport.pause_reading()

    def release(self) -> None:
        """The guest decides again."""
        if self._held:
            self._held = False
            if self._reads:
                self._transport.resume_reading()

    def end(self) -> None:
        """The loan is over: nothing leads from the guest to the front protocol any more."""
        self._adopt = _nobody

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Addresses and the like."""
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Another guest takes over."""
        self._adopt(protocol)


def _nobody(_: Any) -> None:
    """There is no connection to adopt."""
