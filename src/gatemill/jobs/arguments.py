"""The arguments of a job before it is accepted: they fit its kind, and what they name is there.

Rule: what a key may not use is refused here, not when the job runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gatemill.core.errors import (
    ContentBlocked,
    GatemillError,
    InvalidArguments,
    InvalidRequest,
    InvalidValue,
    RequestTooLarge,
)
from gatemill.gateway import aside
from gatemill.gateway.identify import permit
from gatemill.jobs.making import scope_of
from gatemill.jobs.registry import is_hidden
from gatemill.jobs.submission import placed
from gatemill.wire import fields

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.gateway.parts import Gateway
    from gatemill.jobs.services import Services


class Arguments:
    """One for a desk."""

    def __init__(self, services: Services, bytes_max: int) -> None:
        self._services = services
        self._bytes_max = bytes_max
        self._decoders: dict[str, msgspec.json.Decoder[Any]] = {}  # by kind, as they are needed

    def is_hidden(self, name: str) -> bool:
        """Callers may not submit such jobs. Raises InvalidValue for an unknown kind."""
        return is_hidden(self._services.kinds.find(name))

    def check_kind(self, name: str) -> None:
        """Raises InvalidValue for a kind that callers may not submit, or that nobody knows."""
        if self.is_hidden(name):
            raise InvalidValue(
                f"`kind`: {name} is used by the house alone. Choose another one.", param="kind"
            )

    async def check(self, name: str, args: bytes, key: Key) -> bytes:
        """The arguments as they are kept: as guards leave them, where the kind says that they may be.

        Raises RequestTooLarge, PermissionDenied, InvalidArguments, and what the kind has to say.
        """
        if len(args) > self._bytes_max:
            raise RequestTooLarge(
                f"`args`: holds {len(args)} bytes, at most {self._bytes_max} are accepted."
                " Upload a file and name it, or raise `jobs.args_bytes`.",
                param="args",
            )
        kind = self._services.kinds.find(name)
        permit(key, scope_of(kind))
        decoder = self._decoders.get(name)
        if decoder is None:
            decoder = self._decoders[name] = msgspec.json.Decoder(kind.Args)
        try:
            found = fields.decode_head(decoder, args)
            check, look = getattr(kind, "check", None), getattr(kind, "look", None)
            if check is not None:
                check(found, key, self._services.gateway)
            if look is not None:
                await look(found, key, self._services)
            kept = await _guarded(self._services.gateway, key, kind, args)
            if kept is not args:
                fields.decode_head(decoder, kept)  # or the job would find that they do not fit
        except ContentBlocked as error:
            raise placed(error, "args") from None
        except InvalidRequest as error:
            raise placed(error, "args", InvalidArguments) from None
        except GatemillError as error:
            raise placed(error, "args") from None
        return kept


async def _guarded(gateway: Gateway, key: Key, kind: Any, args: bytes) -> bytes:
    """As guards let them be kept. Raises ContentBlocked and GuardUnavailable."""
    if getattr(kind, "MASKED", False):
        return await aside.masked(gateway, key, kind.NAME, args)
    await aside.check(gateway, key, kind.NAME, args)
    return args
