"""Signed notifications in the form of Standard Webhooks 1.0.0, which the OpenAI SDK can verify.

Rule: the id stays the same over every try; the signature covers id, time and body.
Source: the standard-webhooks specification, 1.0.0.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from hashlib import sha256

from gatemill.core.errors import InvalidValue

PREFIX = "whsec_"
_SECRET_BYTES = range(16, 65)  # the specification asks for 24 to 64; some senders use 16


def key_of(secret: str) -> bytes:
    """The signing key inside `whsec_<base64>`. Raises InvalidValue."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) not in _SECRET_BYTES:
        raise InvalidValue(
            "A webhook secret is whsec_ and the base64 of 24 to 64 random bytes,"
            ' for example the output of: python -c "import base64, secrets;'
            " print('whsec_' + base64.b64encode(secrets.token_bytes(32)).decode())\"",
            param="secret",
        )
    return key


def headers(key: bytes, message_id: str, unix_s: float, body: bytes) -> tuple[tuple[str, str], ...]:
    """The headers of one try."""
    moment = int(unix_s)
    signed = b"%b.%d.%b" % (message_id.encode(), moment, body)
    signature = base64.b64encode(hmac.digest(key, signed, sha256)).decode()
    return (
        ("content-type", "application/json"),
        ("webhook-id", message_id),
        ("webhook-timestamp", str(moment)),
        ("webhook-signature", f"v1,{signature}"),
    )
