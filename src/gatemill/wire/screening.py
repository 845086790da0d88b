"""Which bodies hold nothing that a scan would find, told from their bytes. Rule: nothing is decoded, "nothing" is certain.

Most bodies are ordinary, so what costs is to make sure of that: one look at the letters for phrases, one at
the bytes for all else. Only where one of them sees something are strings read, each for itself.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING

from gatemill.policy import json_strings
from gatemill.policy.expressions import expression, letters, several
from gatemill.wire.idle_names import Formats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gatemill.core.guard import Pattern
    from gatemill.policy.expressions import Expression

# In JSON a letter of ASCII can be written as \u0041, a line break as \u000a; then the bytes say nothing of
# the text. Two others are letters of ASCII where case makes no difference: the Kelvin sign, the long s.
ESCAPED = r"\\u(?:00[0-7][0-9A-Fa-f]|212[aA]|017[fF])"
# Behind the end of a string, and whole numbers there that are long enough to be texts (wire/texts.py).
BETWEEN = frozenset((b":", b",", b"]", b"}", b"{", b"[", b" ", b"\n", b"\r", b"\t"))
NUMBERS = re.compile(rb"(?<![0-9.eE+])-?[0-9]{7,}(?![0-9.eE])")
NO_LETTER = b"\x01"  # stands in no letters, so that a set can be tried with it


class Screen:
    """What one scan need not decode."""

    def __init__(
        self, patterns: Sequence[Pattern], holds: Callable[[bytes], bool], known_max: int
    ) -> None:
        """`holds` says whether anything is found in a whole text; `known_max` digests are remembered."""
        self._holds = holds
        self._known_max = known_max
        self._known: dict[bytes, None] = {}  # of harmless strings, the oldest first
        hints = dict.fromkeys(pattern.hint for pattern in patterns)
        bare = dict.fromkeys(pattern.hint for pattern in patterns if not pattern.in_letters)
        phrases = dict.fromkeys(pattern.in_letters for pattern in patterns if pattern.in_letters)
        every = expression("|".join((*hints, ESCAPED)))
        self._every = every
        # A set says of a text that holds one as fast as of one that does not (3 us; a search takes 140).
        self._phrases = several([*phrases, NO_LETTER.decode()]) if phrases else None
        if self._phrases is not None and self._phrases.Match(NO_LETTER) is None:
            self._phrases = None  # without memory it says of no text that it holds anything
        self._bare = every if self._phrases is None else expression("|".join((*bare, ESCAPED)))
        self._formats: Formats | None = None  # made when first needed: it asks `holds`

    @property
    def known(self) -> int:
        """Strings that need not be read again."""
        return len(self._known)

    def suspects(self, body: bytes) -> bool:
        """False: no text of this JSON holds anything that would be found."""
        if self._phrases is None:
            return self._stands(self._every, body)
        is_hidden = b"\\" in body and b"\\u" in body  # a letter may be
        if is_hidden or self._phrases.Match(letters(body)) is not None:
            return self._stands(self._every, self._idle.thinned(body))
        return self._stands(self._bare, body)

    def may_hold(self, text: bytes) -> bool:
        """False: nothing is found in this text."""
        if self._bare.search(text) is not None:
            return True
        return self._phrases is not None and self._phrases.Match(letters(text)) is not None

    def _stands(self, hints: Expression, body: bytes) -> bool:
        """Whether one of the strings in which a hint stands holds something; they are read one by one."""
        at = 0
        while at < len(body) and (hit := hints.search(body, at)) is not None:
            # What is found stands in one string, and so does its hint: so this one ends where it may.
            start, end = json_strings.around(body, hit[0], hit[0])
            text = json_strings.unescaped(body[start:end])
            if text is None or not (text in self._idle.idle or self._is_harmless(text)):
                return True
            at = end + 1  # a hint may be empty, and would be found at this quote again and again
        return False

    def _is_harmless(self, text: bytes) -> bool:
        """Whether nothing is found in a string. Instructions, tools and what was said before come each time."""
        digest = blake2b(text, digest_size=16).digest()
        if digest in self._known:
            return True
        # If it stands between strings, its numbers may be texts.
        numbers = NUMBERS.findall(text) if text[:1] in BETWEEN else ()
        if self._holds(text) or any(map(self._holds, numbers)):
            return False
        if len(self._known) >= self._known_max:
            self._known.pop(next(iter(self._known)), None)
        self._known[digest] = None
        return True

    @property
    def _idle(self) -> Formats:
        if self._formats is None:
            self._formats = Formats(lambda word: not self._holds(word))
        return self._formats
