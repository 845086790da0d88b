"""Which format a file has. Rule: what the bytes say counts more than what the name says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatemill.knowledge.extracting import html, pdf, text
from gatemill.knowledge.extracting.limits import INVALID, UnreadableError

if TYPE_CHECKING:
    from gatemill.knowledge.extracting.limits import Limits

PDF_MARK = b"%PDF-"
_MARK_WITHIN = 1024  # bytes before which a PDF begins
_HTML_STARTS = (b"<!doctype html", b"<html")
_HTML_NAMES = (".html", ".htm", ".xhtml")


def read(data: bytes, filename: str, limits: Limits) -> str:
    """The text of a file. Raises UnreadableError."""
    if len(data) > limits.file_bytes:
        raise UnreadableError(
            INVALID,
            f"It has {len(data)} bytes, at most {limits.file_bytes} are read (knowledge.file_bytes)."
            " Split it.",
        )
    if is_pdf(data):
        return pdf.read(data, limits)
    name = filename.lower()
    if name.endswith(".pdf"):
        raise UnreadableError(INVALID, "It is no PDF, although its name says so.")
    start = data[:_MARK_WITHIN].lstrip().lower()
    if start.startswith(_HTML_STARTS) or name.endswith(_HTML_NAMES):
        return html.read(data, limits)
    return text.read(data, limits)


def is_pdf(data: bytes) -> bool:
    """The bytes are those of a PDF."""
    return PDF_MARK in data[:_MARK_WITHIN]
