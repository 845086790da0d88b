"""Stage 1: secret -> Key. Rule: the only place that decides who calls; 401 is raised nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.core.errors import InvalidApiKey

if TYPE_CHECKING:
    from gatemill.core.call import Key
    from gatemill.gateway.parts import Keys


def identify(keys: Keys, secret: bytes | None, unix_s: float) -> Key:
    """The caller's key. Raises InvalidApiKey for none, an unknown, an expired or a revoked one."""
    if not secret:
        raise InvalidApiKey(
            "No API key was sent. Send `Authorization: Bearer gm-...` or `x-api-key: gm-...`."
        )
    key = keys.identify(secret)
    if key is None:
        raise InvalidApiKey(
            "The API key is not known here. Check it, or create one: gatemill keys."
        )
    if key.expires_s is not None and unix_s >= key.expires_s:
        raise InvalidApiKey("The API key has expired. Ask for a new one: gatemill keys rotate.")
    if key.revoked_s is not None and unix_s >= key.revoked_s:
        raise InvalidApiKey("The API key was revoked. Ask for a new one.")
    return key
