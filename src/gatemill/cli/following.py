"""What happens to a job, as a running gateway tells it. Rule: a stream that breaks off is taken up again.

The gateway numbers what a job says, so nothing is missed and nothing is heard twice.
"""

from __future__ import annotations

import time
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from gatemill.cli import exchange
from gatemill.cli.asking import refused
from gatemill.cli.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPResponse

    from gatemill.cli.asking import Where

_OURS = ("state", "progress")
FINAL = frozenset(("succeeded", "dead", "cancelled", "expired"))
_PAUSE_S = 0.5
_LINE_BYTES_MAX = 8 << 20
_REFUSAL_BYTES_MAX = 1 << 20


class Said(NamedTuple):
    """One event."""

    name: str  # "state", "progress", or "" for what the job itself says
    value: dict[str, Any]
    number: int  # in the job's log; 0 for the others


def follow(where: Where, path: str, away_s_max: float) -> Iterator[Said]:
    """All events of a job until it has ended, whose state is the last one.

    Raises Failure when it is refused, or nobody has answered for `away_s_max`.
    """
    place = 0
    last_s = time.monotonic()
    while True:
        try:
            for said in _events(where, path, place):
                last_s = time.monotonic()
                place = said.number or place
                yield said
                if said.name == "state" and said.value["state"] in FINAL:
                    return
        except _Away as away:
            if time.monotonic() - last_s > away_s_max:
                raise Failure(str(away), fix="start the gateway, then watch again") from away
        time.sleep(_PAUSE_S)


class _Away(Exception):
    """Nobody answers, or not any more."""


def _events(where: Where, path: str, place: int) -> Iterator[Said]:
    """The events after number `place`."""
    known = {"accept": "text/event-stream", "last-event-id": str(place)}
    try:
        with exchange.opened(where, ("GET", path), None, known) as answer:
            if answer.status in {502, 503, 504}:
                raise _Away(f"the gateway answers {answer.status}")
            if answer.status != 200:
                raise refused(answer.status, _refusal(answer))
            yield from _parsed(answer)
    except exchange.Absent as error:
        raise _Away(error.message) from error
    except (OSError, HTTPException) as error:
        raise _Away("the stream of events broke off") from error


def _parsed(answer: HTTPResponse) -> Iterator[Said]:
    """Its events; an error that ends the stream is none of them, for another try tells more."""
    number, name = 0, ""
    for raw in iter(lambda: answer.readline(_LINE_BYTES_MAX), b""):
        line = raw.strip()
        field, _, rest = (part.strip() for part in line.partition(b":"))
        if not line:
            number, name = 0, ""
        elif field == b"id":
            number = int(rest)
        elif field == b"event":
            name = rest.decode()
        elif field == b"data" and rest.startswith(b"{") and (number or name in _OURS):
            yield Said("" if number else name, msgspec.json.decode(rest), number)


def _refusal(answer: HTTPResponse) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(exchange.read(answer, _REFUSAL_BYTES_MAX))
    except msgspec.DecodeError:
        return {}
    return said if isinstance(said, dict) else {}
