"""HTML into text with headings. Rule: what a reader of the page sees, and nothing of what makes it work.

Python's parser takes a minute for 64 KiB of `<a <a <a `: it runs in a process of its own.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from gatemill.knowledge.extracting.limits import INVALID, UnreadableError, check_length
from gatemill.knowledge.extracting.text import decoded

if TYPE_CHECKING:
    from gatemill.knowledge.extracting.limits import Limits

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
    try:
        reader.feed(page)
        reader.close()
    except AssertionError:  # what Python's parser says of a declaration it does not know
        raise UnreadableError(
            INVALID, "It is no HTML that can be read: something in <!...> is wrong. Save it anew."
        ) from None
    text = "".join(reader.parts)
    lines = "\n".join(line.strip(" ") for line in text.split("\n"))
    return check_length(_BLANK.sub("\n\n", lines).strip(), limits)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0  # how deep inside what is not shown
        self._kept = 0  # how deep inside what keeps its spaces

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag begins."""
        if tag in _UNSEEN:
            self._unseen += 1
        elif self._unseen:
            return
        elif tag in _BLOCKS:
            self.parts.append("\n\n" if tag in _PARAGRAPHS else "\n")
            self.parts.append(_HEADINGS.get(tag, "- " if tag == "li" else ""))
            self._kept += tag == "pre"
        elif tag in ("td", "th"):
            self.parts.append(" ")
        elif tag == "img":
            self.parts.append(dict(attrs).get("alt") or "")

    def handle_endtag(self, tag: str) -> None:
        """A tag ends."""
        if tag in _UNSEEN:
            self._unseen = max(0, self._unseen - 1)
        elif tag in _BLOCKS and not self._unseen:
            self.parts.append("\n\n" if tag in _PARAGRAPHS else "\n")
            if tag == "pre":
                self._kept = max(0, self._kept - 1)

    def handle_data(self, data: str) -> None:
        """Text between tags."""
        if not self._unseen:
            self.parts.append(data if self._kept else _SPACES.sub(" ", data))
