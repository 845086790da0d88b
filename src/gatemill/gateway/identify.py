"""Stage 1: secret -> Key, and whether that key may. Rule: 401 and the 403 of a scope come from here alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.errors import InvalidApiKey, PermissionDenied

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.gateway.parts import Keys


def identify(keys: Keys, secret: bytes | None, unix_s: float, scope: str = "") -> Key:
    """The caller's key, which has `scope` where one is named.

    Raises InvalidApiKey for none, an unknown, an expired or a revoked one, and PermissionDenied.
    """
    if not secret:
        raise InvalidApiKey(
            "No API key was sent. Send `Authorization: Bearer gm-...` or `x-api-key: gm-...`."
        )
    key = keys.identify(secret)
    if key is None:
        raise InvalidApiKey(
            "The API key is not known here. Check it, or create one: gatemill keys."
        )
    if key.expires_s is not None or key.revoked_s is not None:
        check_live(key, unix_s)
    if scope and scope not in key.scopes:
        permit(key, scope)
    return key


def check_live(key: Key, unix_s: float) -> None:
    """Raises InvalidApiKey for a key that has expired or was revoked."""
    if key.expires_s is not None and unix_s >= key.expires_s:
        raise InvalidApiKey("The API key has expired. Ask for a new one: gatemill keys rotate.")
    if key.revoked_s is not None and unix_s >= key.revoked_s:
        raise InvalidApiKey("The API key was revoked. Ask for a new one.")


def permit(key: Key, *scopes: str) -> None:
    """Raises PermissionDenied for a key that has none of the scopes."""
    if not any(key.may(scope) for scope in scopes):
        needed = " or ".join(scopes)
        raise PermissionDenied(
            "This needs an admin key. Make one: gatemill keys create NAME --admin."
            if needed == "admin"
            else f"This needs the scope {needed}, which the key does not have. Ask an admin for a"
            " key that has it: GET /docs says what each path needs."
        )
