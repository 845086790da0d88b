"""Names and counts of the formats that look like something, and are nothing.

Rule: taken out of a body only where it is certain that they are names, and nothing is found in them. What is
left holds all that would be found.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# Names that formats have, of those that look like something. They are skipped where nothing in them is
# found: these together with the sign before them, the counts as one object, and any of WORDS as a string.
NAMES = (b"messages", b"message", b"refusal", b"max_tokens", b"max_completion_tokens")
COUNTS = (
    *(b"prompt_tokens", b"completion_tokens", b"total_tokens", b"input_tokens", b"output_tokens"),
    *(b"prompt_tokens_details", b"completion_tokens_details", b"reasoning_tokens", b"audio_tokens"),
    *(b"input_tokens_details", b"output_tokens_details", b"cached_tokens", b"image_tokens"),
    *(b"accepted_prediction_tokens", b"rejected_prediction_tokens", b"text_tokens"),
    *(b"cache_creation_input_tokens", b"cache_read_input_tokens", b"cache_write_tokens"),
)
WORDS = (
    *(*NAMES, *COUNTS, b"max_output_tokens", b"system_fingerprint", b"prompt_cache_key"),
    *(b"role", b"user", b"system", b"assistant", b"developer", b"content", b"text", b"usage"),
    *(b"type", b"tool", b"function", b"instructions", b"input", b"prompt", b"model", b"key"),
    *(b"command", b"cancelled", b"content_filter", b"token", b"prompt_cache_retention"),
)
USAGE = b'"usage"'
SPACE_BYTES = 32  # between a comma and a name, at most


class Formats:
    """What one scan need not look at."""

    def __init__(self, is_idle: Callable[[bytes], bool]) -> None:
        """`is_idle` says that nothing is found in a word."""
        self.idle = frozenset(word for word in WORDS if is_idle(word))
        self._pairs = tuple(_pairs(self.idle))
        self._usage = _usage([name for name in COUNTS if name in self.idle])

    def thinned(self, body: bytes) -> bytes:
        """The body without what formats have. Of its strings, those that are left are whole."""
        for pair in self._pairs:
            # Not by nothing: numbers on both sides of a name must not become one.
            body = body.replace(pair, b",")
        at = body.rfind(USAGE)
        # Behind such a sign a quote begins a name.
        if at < 0 or body[max(0, at - SPACE_BYTES) : at].rstrip()[-1:] not in (b",", b"{"):
            return body
        match = self._usage.match(body, at)
        return body if match is None else b"%b,%b" % (body[:at], body[match.end() :])


def _pairs(idle: frozenset[bytes]) -> Iterable[bytes]:
    """Such words with what makes them names or roles."""
    # Behind "{" or "," a quote always begins a name; elsewhere it may stand in a text, escaped.
    roles = (b"user", b"system", b"assistant")
    if idle >= {b"role", *roles}:
        yield from (b'{"role":"%b"' % role for role in roles)
    for name in NAMES:
        if name in idle:
            yield from (b'%b"%b":' % (sign, name) for sign in (b"{", b","))


def _usage(names: Sequence[bytes]) -> re.Pattern[bytes]:
    """An object of counts below these names, as providers write it, with line breaks or without."""
    name = rb'"(?:%b)"\s*+:\s*+' % (b"|".join(names) or rb"$.")
    count = rb"(?:[0-9]{1,6}+|null)"  # with more digits it would be a text
    inner = rb"\{(?:\s*+%b%b\s*+,?+)*+\s*+\}" % (name, count)
    return re.compile(
        rb"%b\s*+:\s*+\{(?:\s*+%b(?:%b|%b)\s*+,?+)*+\s*+\}" % (USAGE, name, count, inner)
    )
