"""Plain text, and whatever else is text: code, JSON, CSV, Markdown. Rule: bytes that are no text are refused."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from gatemill.knowledge.extracting.limits import (
    INVALID,
    UNSUPPORTED,
    UnreadableError,
    check_length,
)

if TYPE_CHECKING:
    from gatemill.knowledge.extracting.limits import Limits

_LOOKED_AT = 64 << 10  # bytes
_CONTROL_MAX = 0.02  # of the characters
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd]")
# The longer ones first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BINARY = {
    b"PK\x03\x04": "a ZIP archive, as Word, Excel and EPUB files are",
    b"\x1f\x8b": "a gzip archive",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"\xd0\xcf\x11\xe0": "an old Office file",
    b"\x7fELF": "a program",
    b"SQLite format 3": "a database",
}


def read(data: bytes, limits: Limits) -> str:
    """The text. Raises UnreadableError."""
    for magic, what in _BINARY.items():
        if data.startswith(magic):
            raise UnreadableError(
                UNSUPPORTED, f"It is {what}. Send text, Markdown, HTML or PDF instead."
            )
    return check_length(decoded(data), limits)


def decoded(data: bytes, declared: str = "") -> str:
    """Bytes as text: by their mark, as UTF-8, as `declared`, as Windows-1252. Raises UnreadableError."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _as(data, encoding)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = _as(data, declared or "cp1252")
    sample = text[:_LOOKED_AT]
    if len(_CONTROL.findall(sample)) > _CONTROL_MAX * len(sample):
        raise UnreadableError(
            UNSUPPORTED, "Its bytes are no text. Send text, Markdown, HTML or PDF instead."
        )
    return text


def _as(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except (UnicodeError, LookupError):  # some codecs know no UnicodeDecodeError
        raise UnreadableError(
            INVALID,
            "Its characters cannot be told: it is not UTF-8. Save it as UTF-8 and send it again.",
        ) from None
