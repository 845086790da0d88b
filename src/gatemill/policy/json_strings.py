"""One string of a JSON text, without reading the rest of it. Rule: who cannot be sure says so."""

from __future__ import annotations

import msgspec

_BACKSLASH = 0x5C
_read = msgspec.json.Decoder(str).decode


def around(body: bytes, start: int, end: int) -> tuple[int, int]:
    """What stands between the quotes around a place."""
    low = body.rfind(b'"', 0, start)
    while low > 0 and _is_escaped(body, low):
        low = body.rfind(b'"', 0, low)
    high = body.find(b'"', end)
    while high > 0 and _is_escaped(body, high):
        high = body.find(b'"', high + 1)
    return low + 1, len(body) if high < 0 else high


def unescaped(text: bytes) -> bytes | None:
    """The text of a string; None where it is none, or holds escapes that are to be read once more."""
    if _BACKSLASH not in text:
        return None if b'"' in text else text
    try:
        said = _read(b'"' + text + b'"')
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    # A backslash that is left may begin an escape of JSON inside this text.
    return None if "\\" in said else said.encode()


def _is_escaped(body: bytes, at: int) -> bool:
    """An odd number of backslashes stands before it."""
    before = at
    while before and body[before - 1] == _BACKSLASH:
        before -= 1
    return (at - before) % 2 == 1
