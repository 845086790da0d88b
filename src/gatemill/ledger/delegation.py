"""What one key may make of another. Rule: nobody gives what they do not have, and scopes only shrink."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from gatemill.core import scopes
from gatemill.core.errors import InvalidValue, PermissionDenied

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.call import Key
    from gatemill.ledger.keys import Scope


def named(said: Sequence[str], *, admin: bool) -> tuple[str, ...]:
    """The scopes of a new key, in their order. Raises InvalidValue for what cannot be meant."""
    unknown = [scope for scope in said if scope not in scopes.ALL]
    if unknown:
        raise InvalidValue(
            f"`scopes`: {unknown[0][:60]} is not known here. Use {', '.join(scopes.ALL)}.",
            param="scopes",
        )
    if admin and "admin" not in said and tuple(said) != scopes.DEFAULT:
        raise InvalidValue(
            "`scopes`: an admin key has all of them. Say one of the two, `admin` or `scopes`.",
            param="scopes",
        )
    return scopes.ALL if admin else scopes.ordered(said)


def shrunk(held: tuple[str, ...], said: Sequence[str]) -> tuple[str, ...]:
    """The scopes that a key keeps. Raises InvalidValue where that is more than it has."""
    wanted = named(said, admin=False)
    more = [scope for scope in wanted if scope not in held]
    if more:
        raise InvalidValue(
            f"`scopes`: this key does not have {', '.join(more)}, and a key never gets more than it"
            " was made with. Make another key.",
            param="scopes",
        )
    if "admin" in held and "admin" not in wanted:
        raise InvalidValue(
            "`scopes`: an admin key has all of them. Make a smaller key and revoke this one.",
            param="scopes",
        )
    return wanted


def check_within(maker: Key, made: Scope) -> None:
    """Raises PermissionDenied where a key would be more than the one that makes it."""
    more = [scope for scope in made.scopes if not maker.may(scope)]
    if more or (made.admin and not maker.admin):
        raise PermissionDenied(
            f"Your key does not have {', '.join(more) or 'admin'}, so it cannot give it.",
            param="scopes",
        )
    beyond = [model for model in made.models if not _holds(maker.models, model)]
    if beyond:
        raise PermissionDenied(
            f"Your key may not use {beyond[0][:60]}, so it cannot give it. Name models that it has.",
            param="models",
        )
    ends_s = maker.expires_s
    if ends_s is not None and (made.expires_s is None or made.expires_s > ends_s):
        raise PermissionDenied(
            "Your key expires, and what it makes must not outlive it. Send an earlier `expires_at`.",
            param="expires_at",
        )


def _holds(patterns: Sequence[str], wanted: str) -> bool:
    # What a * of `patterns` takes in may be a * of `wanted`: then it takes in all that this one does.
    return any(
        fnmatchcase(wanted, pattern.replace("[", "[[]").replace("?", "[?]")) for pattern in patterns
    )
