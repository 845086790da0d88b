"""What is known of an expression before it is used: whether it may be, and of which bytes its finds are made.

Rule: RE2 only, silent, over the bytes of UTF-8. Where an expression is not understood, any byte it is.
"""

from __future__ import annotations

import re
from functools import cache, partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import re2

ANY = b""
CLASSES = {
    "d": b"0123456789",
    "w": b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz",
    "s": b"\t\n\f\r ",
    "t": b"\t",
    "n": b"\n",
    "r": b"\r",
    "f": b"\f",
    "v": b"\v",
    "b": b"",
    "B": b"",
    "A": b"",
    "z": b"",
}
# Structure; what follows "(?" is flags or a kind of group, whose letters are harmless in an alphabet.
MARKS = frozenset("()|*+?^$")
BRACES = r"\{[0-9]+(?:,[0-9]*)?\}"
PARTS = (
    rf"{BRACES}|\\.|\[\^?\]?(?:\[:[^\]]*:\]|\\.|[^\]\\])*\]|[^\\\[]"  # one of the expression's own
)


_WORD = re.compile(r"[^\W\d_]+")
_LETTERS_ALONE = bytes(
    byte if chr(byte).islower() else byte + 32 if chr(byte).isupper() else 0x20
    for byte in range(0x80)
) + bytes(0x80)
_LETTERS = bytes(
    byte if byte == 0x5C else _LETTERS_ALONE[byte] if byte < 0x80 else byte for byte in range(256)
)
LETTER = r"[^ \\]"
# A character that is not ASCII's may be a letter, or a quote. A letter behind a backslash may stand for a line break.
BREAK = r"(?:[ \\\x{80}-\x{10FFFF}]|\\[bfnrt])"


@cache
def _options() -> re2.Options:
    """Silent, and without groups, which would cost a pass each."""
    import re2

    chosen = re2.Options()
    chosen.log_errors = False
    chosen.never_capture = True
    return chosen


Span = tuple[int, int]
_NOWHERE = (-1, -1)
MAX = 1 << 62


class Expression:
    """An expression, compiled; finds places in bytes of UTF-8.

    It asks RE2 itself: re2's own classes make an object for each place, which takes four times as
    long as the search (2.6 us for 0.6, google-re2 1.1.20251105).
    """

    __slots__ = ("_find",)

    def __init__(self, source: str) -> None:
        """Raises re2.error."""
        import re2
        from re2 import _re2 as engine

        compiled = engine.RE2(source.encode(), _options())
        if not compiled.ok():
            raise re2.error(compiled.error())
        self._find = partial(compiled.Match, engine.RE2.Anchor.UNANCHORED)

    def search(self, text: bytes, start: int = 0, end: int = MAX) -> Span | None:
        """The first place from `start` to `end` or the text's end; what stands behind is not there."""
        end = min(end, len(text))
        if start > end:
            return None
        span: Span = self._find(text, start, end)[0]
        return None if span == _NOWHERE else span

    def finditer(self, text: bytes) -> Iterator[Span]:
        """All places, one behind the other."""
        at = 0
        while at <= len(text) and (span := self.search(text, at)) is not None:
            yield span
            at = max(span[1], at + 1)


def expression(source: str) -> Expression:
    """It, compiled. Raises re2.error."""
    return Expression(source)


def several(sources: Sequence[str]) -> re2.Set:
    """They, compiled to tell in one pass which of them a text holds. Raises re2.error."""
    import re2

    compiled = re2.Set.SearchSet(_options())
    for source in sources:
        compiled.Add(source.encode())
    compiled.Compile()
    return compiled


class Late:
    """An expression that is compiled when it is first asked: not everybody has a guard."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._compiled: Expression | None = None  # written once, read here

    def _ready(self) -> Expression:
        if self._compiled is None:
            self._compiled = expression(self._source)
        return self._compiled

    def search(self, text: bytes, start: int = 0) -> Span | None:
        """The first place from `start` on."""
        return self._ready().search(text, start)

    def finditer(self, text: bytes) -> Iterator[Span]:
        """All places."""
        return self._ready().finditer(text)


def words(text: bytes) -> bytes:
    """The words of a text in small letters, one space around each. A word is letters, nothing else."""
    if text.isascii():
        return b" %b " % b" ".join(text.translate(_LETTERS_ALONE).split())
    found = _WORD.findall(text.decode("utf-8", "replace"))
    return f" {' '.join(found).lower()} ".encode()


def letters(text: bytes) -> bytes:
    r"""The letters of a text or of raw JSON, small, and its backslashes; one space or more for all else, and around.

    LETTER is one of a word there, BREAK what stands between two of them. Who looks with these in raw JSON
    without \u finds all that is in its texts, and perhaps more.
    """
    if not text.isascii():
        text = text.decode("utf-8", "replace").lower().encode()
    return b" %b " % text.translate(_LETTERS)


def reason_against(source: str) -> str:
    """Why this cannot be looked for; "": it can."""
    import re2

    try:
        compiled = expression(source)
        expression(f"(?:{source})|x")  # as it is used; \Q without an end would swallow the rest
    except re2.error as error:
        said = error.args[0].decode(errors="replace")
        return f"not an expression that RE2 knows ({said}); it has no look-around and no references"
    if r"\C" in source or "(?P<" in source or "(?<" in source:
        return r"`\C` and groups with names cannot be used; write (?:...)"
    texts = (b"", b"a 1-")
    if any(start == end for text in texts for start, end in compiled.finditer(text)):
        return "it finds the empty text"
    return ""


def alphabet_of(source: str) -> bytes:
    """Every byte that something it finds can hold, and perhaps others; ANY when that is not known."""
    held = bytearray()
    encoded = source.encode()
    for start, end in expression(f"(?s){PARTS}").finditer(encoded):
        part = encoded[start:end].decode()
        found = _bytes_of(part)
        if found is None:
            return ANY
        held += found
    return bytes(sorted({*held})) or ANY


def _bytes_of(part: str) -> bytes | None:
    """Of one part: the bytes it can find; None: not known."""
    if (len(part) > 1 and part[0] == "{") or part in MARKS:
        return b""
    if part == ".":
        return None
    if part[0] == "[":
        return _class_bytes(part)
    if part[0] == "\\":
        if part[1:].isascii() and part[1:].isalnum():
            return CLASSES.get(part[1:])
        return part[1:].encode()
    return (part.lower() + part.upper()).encode()  # "(?i)" may stand somewhere


def _class_bytes(part: str) -> bytes | None:
    """Of a class: tried byte by byte, in both cases. What goes beyond ASCII is not known."""
    compiled = expression(f"(?i){part}")
    plain = part.replace("\\-", "").replace("\\.", "")
    if "[^" in part or "[:^" in part or "\\" in plain or not part.isascii():
        return None
    return bytes(byte for byte in range(0x80) if compiled.search(bytes((byte,))))
