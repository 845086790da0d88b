r"""JSON that stands inside a text, as tool arguments do: its strings without escapes, in parts, and back.

Rule: what `Closing` makes of what `Opening` gave is JSON that means the same, however it was cut. A
guard sees "a@b.de", also where the model wrote "a\u0040b.de".
"""

from __future__ import annotations

import re

# Stand for a quote and a backslash that belong to a string. Noncharacters: no text has them to say
# something (Unicode 16, 23.7); one that has them all the same gets U+FFFD in their place.
QUOTE, SLASH = "\ufdd0", "\ufdd1"
_TAKEN = str.maketrans({QUOTE: "\ufffd", SLASH: "\ufffd"})
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "/": "/", '"': QUOTE, "\\": SLASH}
_UNICODE = re.compile(r"u([0-9a-fA-F]{4})")
_PAIR = re.compile(r"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_ESCAPE_CHARS_MAX = 12  # \ud83d\ude00
_AGAIN = {'"': QUOTE, "\\": SLASH}
_SPECIAL = re.compile(f'["{QUOTE}{SLASH}\x00-\x1f]')
_OUT = {QUOTE: '\\"', SLASH: "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


class Opening:
    """Takes JSON in parts, and gives its text with the escapes resolved."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""  # an escape that has not come whole; at most _ESCAPE_CHARS_MAX

    def feed(self, text: str) -> str:
        """What is sure by now."""
        text = self._held + text
        self._held = ""
        if "\\" not in text:
            return text.translate(_TAKEN)
        out: list[str] = []
        at = 0
        while (found := text.find("\\", at)) >= 0:
            out.append(text[at:found].translate(_TAKEN))
            plain, at = _resolved(text, found + 1)
            if at < 0:
                self._held = text[found:]
                return "".join(out)
            out.append(plain)
        out.append(text[at:].translate(_TAKEN))
        return "".join(out)

    def finish(self) -> str:
        """The rest: an escape that was cut off stays as it is."""
        held, self._held = self._held, ""
        return held.replace("\\", SLASH)


def _resolved(text: str, at: int) -> tuple[str, int]:
    """What the escape behind a backslash stands for, and where the text goes on; -1: too short to say."""
    left = text[at : at + _ESCAPE_CHARS_MAX - 1]
    if not left:
        return "", -1
    if left[0] != "u":
        return _SHORT.get(left[0], SLASH + left[0].translate(_TAKEN)), at + 1
    if pair := _PAIR.match(left):
        both = bytes.fromhex(left[1:5] + left[7:11])
        return both.decode("utf-16-be"), at + pair.end()
    single = _UNICODE.match(left)
    if single is None:
        return ("", -1) if len(left) < 5 else (SLASH + "u", at + 1)
    code = int(single[1], 16)
    is_half = 0xD800 <= code <= 0xDFFF
    if is_half and len(left) < _ESCAPE_CHARS_MAX - 1 and code < 0xDC00 and _may_go_on(left[5:]):
        return "", -1
    char = "\ufffd" if is_half else chr(code)
    return _AGAIN.get(char, char.translate(_TAKEN)), at + single.end()


def _may_go_on(rest: str) -> bool:
    """Whether the second half of a pair may follow."""
    return "\\u".startswith(rest[:2]) if len(rest) < 2 else rest.startswith("\\u")


def inside(text: str) -> str:
    """A text as it stands inside a string that was opened."""
    return text.translate(_TAKEN).replace("\\", SLASH).replace('"', QUOTE)


def outside(text: str) -> str:
    """A piece of an opened string as people read it."""
    return text.replace(QUOTE, '"').replace(SLASH, "\\")


class Closing:
    """Takes opened text in parts, and gives the JSON."""

    __slots__ = ("_in_string",)

    def __init__(self) -> None:
        self._in_string = False

    def feed(self, text: str) -> str:
        """The JSON of this part."""
        return _SPECIAL.sub(self._closed, text) if _SPECIAL.search(text) else text

    def _closed(self, match: re.Match[str]) -> str:
        char = match[0]
        if char == '"':
            self._in_string = not self._in_string
            return char
        if char in (QUOTE, SLASH):
            return _OUT[char]
        if not self._in_string:
            return char
        return _OUT.get(char) or f"\\u{ord(char):04x}"
