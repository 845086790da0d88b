"""Reading what a control route is sent: bodies and queries.

Rule: strict. What we do not know, twice, or of the wrong type is refused by name and with the remedy,
so that a misspelt limit is never an unlimited key.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gatemill.core.errors import InvalidValue, UnsupportedParameter
from gatemill.core.limits import UNLIMITED, Limits
from gatemill.edge.arrival import Arrival
from gatemill.gateway.guards import check as check_guards
from gatemill.wire import fields, guard_uses, limits
from gatemill.wire.body import check
from gatemill.wire.moments import moment_s

if TYPE_CHECKING:
    from starlette.requests import Request

    from gatemill.core.guard import Uses
    from gatemill.edge.admin.clerk import Clerk

T = TypeVar("T", bound=Struct)

BODY_BYTES_MAX = 1 << 20
LIST_MAX = 10_000
_NAME_CHARS_MAX = 60  # of an unknown name that is repeated in the message


async def read(request: Request, kind: type[T]) -> T:
    """The body as a `kind`; an empty body is an empty object. Raises InvalidRequest and RequestTooLarge."""
    data = await _body(request) or b"{}"
    check(data)
    # Without rounding: 0.1 dollars are not 0.1000000000000000055.
    decoder = msgspec.json.Decoder(kind, float_hook=Decimal)
    found = fields.decode_head(decoder, data)
    known = kind.__struct_fields__
    for name in fields.shallow(data):
        if name not in known:
            raise _unknown(name, known)
    return found


def new_limits(said: Any, before: Limits = UNLIMITED) -> Limits:
    """The limits of a body's field `limits`; `before` where it is absent, none where it is null."""
    if said is UNSET:
        return before
    return UNLIMITED if said is None else limits.read(said, before)


def new_guards(clerk: Clerk, said: Any) -> Uses:
    """The guards of a body's field `guards`, which this configuration has; null is none.

    Raises InvalidValue and its kinds.
    """
    uses = guard_uses.read(said)
    check_guards(uses, clerk.gateway.guards.known)
    return uses


def given(**values: Any) -> dict[str, Any]:
    """The values that were sent; null is ""."""
    found = {name: value for name, value in values.items() if not isinstance(value, UnsetType)}
    return {name: "" if value is None else value for name, value in found.items()}


class Asked:
    """The query of a request."""

    def __init__(self, request: Request, *known: str) -> None:
        """Raises UnsupportedParameter for a name that is not `known`, InvalidValue for one sent twice."""
        self._values: dict[str, str] = {}
        for name, value in request.query_params.multi_items():
            if name not in known:
                raise _unknown(name, known)
            if name in self._values:
                raise InvalidValue(f"`{name}`: was sent twice. Send it once.", param=name)
            self._values[name] = value

    def text(self, name: str, default: str = "") -> str:
        """As it was sent."""
        return self._values.get(name, default)

    def word(self, name: str, *values: str) -> str:
        """One of `values`; the first by default, also where that is none. Raises InvalidValue."""
        value = self._values.get(name)
        if value is None:
            return values[0]
        if not value or value not in values:
            raise InvalidValue(
                f"`{name}`: send one of {', '.join(each for each in values if each)}.", param=name
            )
        return value

    def words(self, name: str) -> tuple[str, ...]:
        """The words between commas."""
        return tuple(word.strip() for word in self.text(name).split(",") if word.strip())

    def whole(self, name: str, default: int | None, most: int) -> int | None:
        """A whole number from 1 to `most`. Raises InvalidValue."""
        value = self._values.get(name)
        if value is None:
            return default
        if not (
            value.isascii() and value.isdigit() and len(value) < 19 and 1 <= int(value) <= most
        ):
            raise InvalidValue(f"`{name}`: send a whole number from 1 to {most}.", param=name)
        return int(value)

    def limit(self, default: int = 100) -> int:
        """The most entries to list. Raises InvalidValue."""
        return self.whole("limit", default, LIST_MAX) or default

    def moment_s(self, name: str, now_s: float, default: str) -> float:
        """Unix time. Raises InvalidValue."""
        text = self._values.get(name, default)
        return now_s if text == "" else moment_s(text, now_s, name)


async def _body(request: Request) -> bytes:
    arrival = Arrival(0.0)
    for name, value in request.headers.raw:
        arrival.header(name, value)
    async for piece in request.stream():
        arrival.take(piece, BODY_BYTES_MAX)
        if arrival.refusal is not None:
            raise arrival.refusal
    return await arrival.body(BODY_BYTES_MAX)


def _unknown(name: str, known: tuple[str, ...]) -> UnsupportedParameter:
    shown = name[:_NAME_CHARS_MAX]
    names = f"Use {', '.join(known)}" if known else "Leave it out"
    return UnsupportedParameter(f"`{shown}` is not known here. {names}.", param=shown)
