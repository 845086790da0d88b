"""PDF into text, by pypdf. Rule: hostile until proven otherwise; it runs in a process of its own."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

from gatemill.knowledge.extracting.limits import (
    INVALID,
    UNSUPPORTED,
    UnreadableError,
    check_length,
)

if TYPE_CHECKING:
    from pypdf import PdfReader

    from gatemill.knowledge.extracting.limits import Limits

INSTALL = "pip install 'gatemill[pdf]'"


def read(data: bytes, limits: Limits) -> str:
    """The text of all pages, an empty line between them. Raises UnreadableError."""
    try:
        import pypdf
        from pypdf.errors import PyPdfError
    except ModuleNotFoundError:
        raise UnreadableError(UNSUPPORTED, f"PDF needs another package: {INSTALL}") from None
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        return check_length(_text(pypdf.PdfReader(io.BytesIO(data)), limits), limits)
    # What a broken file makes pypdf raise, as far as its issues tell; its own errors are the first.
    except (
        PyPdfError,
        ArithmeticError,
        AssertionError,
        AttributeError,
        EOFError,
        LookupError,
        OSError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise UnreadableError(
            INVALID, f"It is no PDF that can be read ({type(error).__name__}). Save it anew."
        ) from None


def _text(reader: PdfReader, limits: Limits) -> str:
    if reader.is_encrypted and not reader.decrypt(""):
        raise UnreadableError(INVALID, "It is locked with a password. Send it without.")
    count = len(reader.pages)
    if count > limits.pdf_pages:
        raise UnreadableError(
            INVALID, f"It has {count} pages, at most {limits.pdf_pages} are read. Split it."
        )
    pages: list[str] = []
    left = limits.text_bytes
    for page in reader.pages:
        pages.append(page.extract_text())
        left -= len(pages[-1])
        if left < 0:
            break  # `check_length` says so
    if not "".join(pages).strip():
        raise UnreadableError(
            INVALID, "There is no text in it: its pages are pictures. Run a text recognition first."
        )
    return "\n\n".join(pages)
