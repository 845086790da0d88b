"""HTML into text with headings. Rule: what a reader of the page sees, and nothing of what makes it work."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gatemill.knowledge.extracting import tags
from gatemill.knowledge.extracting.limits import check_length
from gatemill.knowledge.extracting.text import decoded

if TYPE_CHECKING:
    from gatemill.knowledge.extracting.limits import Limits
    from gatemill.knowledge.extracting.tags import Tag

_CHARSET = re.compile(rb"<meta[^>]{0,200}charset=[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_HEAD_BYTES = 4096  # where a page says what its characters are
_UNSEEN = frozenset(("script", "style", "template", "noscript", "svg", "math", "iframe", "object"))
_BLOCKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "br",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "option",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "title",
        "tr",
        "ul",
    ]
)
_PARAGRAPHS = _BLOCKS - {"br", "li", "tr", "dt", "dd", "option", "div"}
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)} | {"title": "# "}
_SPACES = re.compile(r"[ \t\r\n\f]+")
_BLANK = re.compile(r"\n{3,}")


def read(data: bytes, limits: Limits) -> str:
    """The text. Raises UnreadableError."""
    declared = _CHARSET.search(data[:_HEAD_BYTES])
    page = decoded(data, declared[1].decode() if declared else "")
    reader = _Reader()
    for piece in tags.walked(page):
        reader.take(piece)
    text = "".join(reader.parts)
    lines = "\n".join(line.strip(" ") for line in text.split("\n"))
    return check_length(_BLANK.sub("\n\n", lines).strip(), limits)


class _Reader:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self._unseen = 0  # how deep inside what is not shown
        self._kept = 0  # how deep inside what keeps its spaces

    def take(self, piece: Tag | str) -> None:
        """The next tag or text of the page."""
        if isinstance(piece, str):
            if not self._unseen:
                self.parts.append(piece if self._kept else _SPACES.sub(" ", piece))
            return
        if piece.begins:
            self._begin(piece)
        if piece.ends:
            self._end(piece.name)

    def _begin(self, tag: Tag) -> None:
        name = tag.name
        if name in _UNSEEN:
            self._unseen += 1
        elif self._unseen:
            return
        elif name in _BLOCKS:
            self.parts.append("\n\n" if name in _PARAGRAPHS else "\n")
            self.parts.append(_HEADINGS.get(name, "- " if name == "li" else ""))
            self._kept += name == "pre"
        elif name in ("td", "th"):
            self.parts.append(" ")
        elif name == "img":
            self.parts.append(tag.alt)

    def _end(self, name: str) -> None:
        if name in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif name in _BLOCKS and not self._unseen:
            self.parts.append("\n\n" if name in _PARAGRAPHS else "\n")
            if name == "pre":
                self._kept = max(0, self._kept - 1)
