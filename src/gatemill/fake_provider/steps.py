"""The words between an answer and the socket: what to write, when to wait, how to end.

Rule: data only. answer.py and delivery.py make steps, server.py plays them.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from msgspec import Struct


class Part(enum.Enum):
    """What a write holds, for the journal's phases and counts."""

    INTERIM = enum.auto()  # a 1xx answer: does not count as headers
    HEAD = enum.auto()
    BODY = enum.auto()
    EVENT = enum.auto()  # the end of a server-sent event
    WHOLE = enum.auto()  # headers and body in one write


class Send(NamedTuple):
    """Write these bytes, apart from those before and after."""

    data: bytes
    part: Part


class Wait(NamedTuple):
    """Do nothing for so long, unless the client leaves."""

    seconds: float


class End(enum.Enum):
    """How the connection goes on. Steps that run out mean KEEP."""

    KEEP = enum.auto()
    CLOSE = enum.auto()  # FIN
    RESET = enum.auto()  # RST
    STALE = enum.auto()  # open until the next request arrives, then FIN


Step = Send | Wait | End


class Kind(enum.Enum):
    """What an event of a stream is; `cut` and `error-event` count CONTENT."""

    OPEN = enum.auto()  # structure before and between content
    CONTENT = enum.auto()
    CLOSE = enum.auto()  # after all content
    DONE = enum.auto()  # says that the answer is complete; `no-done` leaves it out


class Event(NamedTuple):
    """One server-sent event."""

    data: bytes
    name: str = ""
    kind: Kind = Kind.OPEN


class Request(Struct):
    """One request as it came over the socket."""

    method: str
    target: str  # path and query
    headers: list[tuple[str, str]]  # lower-case names, order kept
    body: bytes
    version: str  # "1.1" or "1.0"
    keeps_alive: bool
    arrived_s: float  # monotonic, first byte of the request

    def header(self, name: str) -> str:
        """The first value of a header, "" when it is absent."""
        return next((value for known, value in self.headers if known == name), "")
