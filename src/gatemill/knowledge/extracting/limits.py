"""How much of a file is read, and how a file says that it cannot be. Rule: values only."""

from __future__ import annotations

import re

from msgspec import Struct

UNSUPPORTED, INVALID, SERVER = "unsupported_file", "invalid_file", "server_error"  # OpenAI's words

_HALVES = re.compile(r"[\ud800-\udfff]")


class Limits(Struct, frozen=True):
    """What one file may cost; see docs/settings.md, section knowledge."""

    file_bytes: int
    text_bytes: int
    pdf_pages: int
    timeout_s: float
    memory_bytes: int


class UnreadableError(Exception):
    """A file has no text that we can read."""

    def __init__(self, code: str, message: str) -> None:
        """`code` is one of OpenAI's words, `message` is for the file's owner."""
        super().__init__(message)
        self.code = code
        self.message = message


def check_length(text: str, limits: Limits) -> str:
    """The text, with line feeds alone at the ends of its lines. Raises UnreadableError."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    text = _HALVES.sub("\ufffd", text)  # of surrogate pairs, which no database takes
    if len(text) > limits.text_bytes:
        raise UnreadableError(
            INVALID,
            f"Its text has more than {limits.text_bytes} characters (knowledge.text_bytes). Split the"
            " file.",
        )
    if not text.strip():
        raise UnreadableError(INVALID, "There is no text in it.")
    return text
