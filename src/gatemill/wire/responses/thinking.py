"""Signed thinking blocks through a format that has no place for them but an opaque string.

Rule: what `seal` writes, `unseal` gives back; nothing here is secret, the provider checks signatures.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec

from gatemill.core.errors import InvalidValue
from gatemill.wire import fields

if TYPE_CHECKING:
    from gatemill.core.ports import Json

_PREFIX = "gatemill.thinking.1."
_decode = msgspec.json.Decoder(list[dict[str, Any]]).decode


def seal(blocks: list[Json]) -> str:
    """Thinking blocks as a reasoning item's `encrypted_content`."""
    return _PREFIX + base64.b64encode(fields.encode(blocks)).decode()


def unseal(sealed: str, param: str) -> list[Json]:
    """The blocks that `seal` wrote; [] for another provider's string. Raises InvalidValue."""
    if not sealed.startswith(_PREFIX):
        return []
    try:
        return _decode(base64.b64decode(sealed[len(_PREFIX) :], validate=True))
    except (ValueError, msgspec.MsgspecError, RecursionError):  # also of letters beyond ASCII
        raise InvalidValue(
            f"`{param}`: is damaged. Send the reasoning item as it was answered.", param=param
        ) from None
