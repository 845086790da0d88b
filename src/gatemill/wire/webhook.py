"""Signed notifications in the form of Standard Webhooks 1.0.0, which the OpenAI SDK can verify.

Rule: the id stays the same over every try; the signature covers id, time and body.
Source: the standard-webhooks specification, 1.0.0.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import hmac
from hashlib import sha256
from typing import TYPE_CHECKING

from gatemill.core.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX = "whsec_"
TOLERANCE_S = 300  # that the clocks of sender and receiver may differ
EVENTS = (
    "job.succeeded",
    "job.dead",
    "job.cancelled",
    "job.expired",
    "response.completed",
    "response.incomplete",
    "response.failed",
    "response.cancelled",
    "batch.completed",
    "batch.failed",
    "batch.cancelled",
    "batch.expired",
)
PATTERNS = ("*", "job.*", "response.*", "batch.*", *EVENTS)
_SECRET_BYTES = range(16, 65)  # the specification asks for 24 to 64; some senders use 16


def check_patterns(patterns: Sequence[str]) -> None:
    """Raises InvalidValue for a pattern that no event can match, or none at all."""
    for pattern in patterns or ("",):
        if pattern not in PATTERNS:
            near = difflib.get_close_matches(pattern, PATTERNS, n=1)
            remedy = (
                f'Did you mean "{near[0]}"?' if near else f"Send some of {', '.join(PATTERNS)}."
            )
            raise InvalidValue(f"`events`: there is no such event. {remedy}", param="events")


def matches(patterns: Sequence[str], event: str) -> bool:
    """Whether one of the patterns means this event."""
    family = event.partition(".")[0]
    return any(pattern in ("*", f"{family}.*", event) for pattern in patterns)


def secret_of(key: bytes) -> str:
    """The secret that holds a signing key: whsec_ and base64."""
    return PREFIX + base64.b64encode(key).decode()


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


def headers(
    keys: Sequence[bytes], message_id: str, unix_s: float, body: bytes
) -> tuple[tuple[str, str], ...]:
    """The headers of one try, with a signature by each of `keys`: several while one is replaced."""
    moment = int(unix_s)
    signatures = (_signature(key, message_id, str(moment), body) for key in keys)
    return (
        ("webhook-id", message_id),
        ("webhook-timestamp", str(moment)),
        ("webhook-signature", " ".join(signatures)),
    )


def is_signed(key: bytes, sent: Mapping[str, str], body: bytes, unix_s: float) -> bool:
    """Whether a notification with these headers was signed with the key, lately.

    The names of the headers are in small letters.
    """
    moment = sent.get("webhook-timestamp", "")
    if not (moment.isascii() and moment.isdigit() and len(moment) < 16):
        return False
    if abs(unix_s - int(moment)) > TOLERANCE_S:
        return False
    wanted = _signature(key, sent.get("webhook-id", ""), moment, body).encode()
    given = sent.get("webhook-signature", "").encode().split(b" ")
    return any(hmac.compare_digest(wanted, one) for one in given)


def _signature(key: bytes, message_id: str, moment: str, body: bytes) -> str:
    signed = b".".join((message_id.encode(), moment.encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, sha256)).decode()
