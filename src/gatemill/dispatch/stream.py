"""Messages that are requests, and messages that are answers: one file, one broker.

Rule: a message is settled when what it asks for is in the ledger, or it is a dead letter; until then it
comes again. Nothing is known here of what a request is.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from gatemill.core.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

BATCH_MAX = 100  # messages that are settled together
BODY_BYTES_MAX = 4 << 20  # of one message; more is a dead letter
DEAD = ".dead"  # the end of the name of the queue or topic with dead letters
REASON = "gatemill-reason"  # the header that says why a letter is dead
_ROOMS = {"amqp": "stream_rabbit", "amqps": "stream_rabbit", "kafka": "stream_kafka"}
_EXAMPLE = "Write amqp://[user:password@]host[:5672]/[vhost/]queue or kafka://host[:9092]/topic."


class Away(Exception):
    """The broker does not answer, or hangs up; a few words say how."""


class TooLarge(Exception):
    """The broker takes no message of this size, however often it is sent."""


class Arrived(Struct, eq=False):
    """A message. `id` is the same whenever it comes again; "" when it has none."""

    id: str
    body: bytes
    token: Any  # the engine's own


class Source(Protocol):
    """Where requests come from."""

    def batches(self) -> AsyncIterator[Sequence[Arrived]]:
        """Messages as they come, at most BATCH_MAX; the next when these are settled. Raises Away."""
        ...

    async def bury(self, message: Arrived, reason: str) -> None:
        """The message is a dead letter, beside which the reason stands. Raises Away.

        One that is too large to be sent anew is told of by its id and the reason alone.
        """
        ...

    async def settle(self, batch: Sequence[Arrived]) -> None:
        """None of these comes again. Raises Away."""
        ...

    async def close(self) -> None:
        """What is not settled comes again, to somebody."""


class Target(Protocol):
    """Where answers go."""

    async def send(self, message_id: str, body: bytes) -> None:
        """The broker has the message, or a copy that it had already. Raises Away and TooLarge."""
        ...

    async def close(self) -> None:
        """Connections are released."""


class Place(Struct, frozen=True):
    """A queue or topic, and the broker that has it."""

    broker: str  # a URL without the name
    name: str

    @property
    def dead(self) -> str:
        """Where its dead letters go."""
        return self.name + DEAD


def place(url: str) -> Place:
    """What a URL names. Raises InvalidValue; the message holds no part of the URL."""
    parts = urlsplit(url)
    path, _, name = parts.path.rpartition("/")
    if parts.scheme not in _ROOMS or not name or not parts.hostname:
        raise InvalidValue(f"This names no queue and no topic. {_EXAMPLE}", param="url")
    # Without a virtual host RabbitMQ's own is meant, whose name is a slash.
    vhost = path or ("" if parts.scheme == "kafka" else "/")
    return Place(parts._replace(path=vhost).geturl(), unquote(name))


async def source(url: str, group: str) -> Source:
    """An open source; members of a group share its messages. Raises InvalidValue and Away."""
    found: Source = await _room(url).source(place(url), group)
    return found


async def target(url: str) -> Target:
    """An open target. Raises InvalidValue and Away."""
    found: Target = await _room(url).target(place(url))
    return found


def _room(url: str) -> Any:
    place(url)  # raises for an unknown scheme
    return import_module(f"gatemill.dispatch.{_ROOMS[urlsplit(url).scheme]}")
