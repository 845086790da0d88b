"""Secrets taken out of log lines. Rule: the second net; the first is that no secret is ever given to a line.

It catches what a library says of its own accord, such as the URL of a database in an error.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN = "[secret]"
KNOWN_MAX = 10_000  # values; a configuration that has more of them is not one
_CHARS_MIN = 6  # a shorter value would hide ordinary words

# What keys look like: ours, those of providers and of webhooks, and whatever follows these words.
_SHAPES = re.compile(
    r"\bgm-[0-9a-z]{10}-[0-9A-Za-z]{20,}"
    r"|\b(?:sk|rk|pk|gsk|xai|r8|hf|ghp|gho|ghs|glpat|whsec|xox[abprs])[-_][0-9A-Za-z_+/=-]{16,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{30,}"
    r"|(?<=[Bb]earer )[^\s\"',;]{6,}"
    r"|(?<=://)[^\s/@:\"']*:[^\s/@\"']+(?=@)"
)


class Redaction:
    """Values that no line may hold, beside those that look like keys."""

    def __init__(self) -> None:
        self._known: set[str] = set()  # only grows: what was a secret once, stays one
        self._pattern: re.Pattern[str] | None = None

    def add(self, values: Iterable[str]) -> None:
        """Lines written from now on do not hold them."""
        for value in values:
            if len(value) >= _CHARS_MIN:
                self._known |= {value, json.dumps(value, ensure_ascii=False)[1:-1]}
        assert len(self._known) <= KNOWN_MAX, "too many secrets"
        # The longest first: one may be the beginning of another.
        words = sorted(self._known, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, words))) if words else None

    def __call__(self, line: str) -> str:
        """The line without them."""
        if self._pattern is not None:
            line = self._pattern.sub(HIDDEN, line)
        return _SHAPES.sub(HIDDEN, line)


hide = Redaction()  # of this process, as its log is; filled when a configuration is built
