"""HTML into tags and texts, in one walk. Rule: pure; its time grows with the length of the page, whatever stands there.

Python's own parser takes a minute for 64 KiB of `<a <a <a `. What never ends is no tag but text, as in
`if a <b`; a comment or a script that never ends hides the rest.
"""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator

# After a name, anything up to the > that stands in no quotes; a quote counts only behind an equals sign.
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*+)((?:[^>=]++|=\s*+(?:\"[^\"]*+\"|'[^']*+')?)*+)>")
_ALT = re.compile(r"(?<!\S)alt\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'>]++))", re.IGNORECASE)
_RAW = {name: re.compile(rf"</{name}\b", re.IGNORECASE) for name in ("script", "style")}
_MAYBE = re.compile(r"<(?=[a-zA-Z/!?])")
_NAMED = re.compile(r"</?[a-zA-Z]")  # begins like a tag
_HUGE = re.compile(r"&#(?:\d{8,}|[xX][0-9a-fA-F]{8,});?")  # beyond every character


class Tag(Struct, frozen=True):
    """`<name rest>`, or `</name>`."""

    name: str  # in lower case
    rest: str
    begins: bool
    ends: bool  # both for <br/>

    @property
    def alt(self) -> str:
        """What stands for a picture."""
        found = _ALT.search(self.rest)
        return "" if found is None else plain(found[1] or found[2] or found[3] or "")


def walked(page: str) -> Iterator[Tag | str]:
    """Tags, and the texts between them as they are read; comments and scripts are left out."""
    at = 0
    while found := _MAYBE.search(page, at):
        if found.start() > at:
            yield plain(page[at : found.start()])
        at = found.start()
        tag = _TAG.match(page, at)
        if tag is None:
            end = _hidden(page, at)
            if end is None:
                break
            at = end
            continue
        name, rest = tag[2].lower(), tag[3]
        yield Tag(name, rest, begins=not tag[1], ends=bool(tag[1]) or rest.endswith("/"))
        at = tag.end()
        if name in _RAW and not tag[1]:
            close = _RAW[name].search(page, at)
            at = len(page) if close is None else close.start()
    if at < len(page):
        yield plain(page[at:])


def plain(text: str) -> str:
    """The text with its entities as characters."""
    return unescape(_HUGE.sub("\ufffd", text)) if "&" in text else text


def _hidden(page: str, at: int) -> int | None:
    """Where a comment or a declaration ends; None for what never does and is text."""
    if page.startswith("<!--", at):
        end = page.find("-->", at + 4)
        return len(page) if end < 0 else end + 3
    if _NAMED.match(page, at):
        return None
    end = page.find(">", at)
    return None if end < 0 else end + 1
