"""The little Markdown that descriptions use, as HTML: paragraphs, lists, code.

Rule: text is escaped before anything else happens to it.
"""

from __future__ import annotations

import re
from html import escape

_CODE = re.compile(r"`([^`]+)`")


def inline(text: str) -> str:
    """A line, with `code` marked."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def blocks(text: str) -> str:
    """Paragraphs, "- " lists, and code that is indented by four spaces."""
    return "".join(_block(part.strip("\n")) for part in text.split("\n\n") if part.strip())


def _block(part: str) -> str:
    lines = part.split("\n")
    if all(line.startswith("    ") for line in lines):
        code = "\n".join(line[4:] for line in lines)
        return f"<pre><code>{escape(code)}</code></pre>"
    if all(line.startswith("- ") for line in lines):
        return "<ul>" + "".join(f"<li>{inline(line[2:])}</li>" for line in lines) + "</ul>"
    return f"<p>{inline(part)}</p>"
