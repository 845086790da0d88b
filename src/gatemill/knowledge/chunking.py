"""Texts into passages. Rule: pure; text[start:end] of a passage is what the document says there.

A passage ends where the text does: before a heading, else between paragraphs, else between sentences, else
between words. Only a word longer than a whole passage is cut. Passages overlap by whole sentences,
never over a heading. Whatever is not white space is in some passage.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from gatemill.core.errors import InvalidValue
from gatemill.policy.tokens import BYTES_PER_TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKENS_AUTO = 512  # of a passage, where the embedder takes as many
OVERLAP_AUTO = 0.15
TOKENS_MIN, TOKENS_MAX = 100, 4096  # of a passage, as OpenAI bounds what callers ask for
TOKENS_LEAST = 16  # of a passage, for an embedder that takes very little
_FULL_ENOUGH = 0.25  # of a passage, before a heading ends it
_HEADING, _PARAGRAPH, _SENTENCE, _WORD = 3, 2, 1, 0

# Where a text may be cut: before a heading, at an empty line, after a sentence, at the end of a line.
_BREAK = re.compile(
    r"\n[ \t\n]*+(?=\#{1,6}[ ])|\n[ \t]*\n\s*|(?<=[.!?\u2026])[\"')\]\u201d\u2019]*\s+|(?<=[\u3002\uff01\uff1f])|\n"
)
_SPACE = re.compile(r"\s+")


class Strategy(Struct, frozen=True):
    """How large passages are, in tokens by estimate."""

    tokens: int
    overlap: int

    @property
    def bytes(self) -> int:
        """The longest passage, in bytes of UTF-8."""
        return self.tokens * BYTES_PER_TOKEN


class Span(Struct, frozen=True):
    """A passage: text[start:end], in characters."""

    start: int
    end: int


class _Unit(Struct, frozen=True):
    """A piece of text that stays whole."""

    start: int
    end: int
    first_byte: int
    last_byte: int
    level: int  # how good a place its beginning is to cut


class TooManyError(Exception):
    """The text has more passages than one document may have."""


def automatic(embedder_tokens: int | None) -> Strategy:
    """Passages that fit into what the embedder reads; None: it is not known how much that is."""
    tokens = max(TOKENS_LEAST, min(embedder_tokens or TOKENS_AUTO, TOKENS_AUTO))
    return Strategy(tokens, int(tokens * OVERLAP_AUTO))


def static(tokens: int, overlap: int, param: str = "chunking_strategy") -> Strategy:
    """Passages as a caller wants them. Raises InvalidValue."""
    if not TOKENS_MIN <= tokens <= TOKENS_MAX:
        raise InvalidValue(
            f"`{param}.static.max_chunk_size_tokens`: send {TOKENS_MIN} to {TOKENS_MAX}.",
            param=f"{param}.static.max_chunk_size_tokens",
        )
    if not 0 <= overlap <= tokens // 2:
        raise InvalidValue(
            f"`{param}.static.chunk_overlap_tokens`: send 0 to half of max_chunk_size_tokens,"
            f" {tokens // 2}.",
            param=f"{param}.static.chunk_overlap_tokens",
        )
    return Strategy(tokens, overlap)


def chunks(text: str, strategy: Strategy, chunks_max: int) -> list[Span]:
    """The passages of a text in their order; none for white space. Raises TooManyError."""
    units = list(_units(text, strategy.bytes))
    found: list[Span] = []
    first = least = 0
    while first < len(units):
        last = _last(units, (first, least), strategy.bytes)
        if len(found) >= chunks_max:
            raise TooManyError
        found.append(Span(units[first].start, units[last].end))
        if last == len(units) - 1:
            break
        first, least = _next(units, (first, last), strategy), last + 1
    return found


def _last(units: list[_Unit], bounds: tuple[int, int], bytes_max: int) -> int:
    """The unit that ends a passage: `bounds` are the one that begins it, and the first that may end it."""
    first, least = bounds
    begin = units[first].first_byte
    last = least
    while last + 1 < len(units):
        following = units[last + 1]
        filled = units[last].last_byte - begin
        if following.level == _HEADING and filled >= bytes_max * _FULL_ENOUGH:
            return last
        if following.last_byte - begin > bytes_max:
            break
        last += 1
    else:
        return last
    best = last
    for at in range(last, least - 1, -1):  # in its latter half; the latest of equally good places
        if units[at].last_byte - begin < bytes_max / 2:
            break
        if units[at + 1].level > units[best + 1].level:
            best = at
    return best


def _next(units: list[_Unit], before: tuple[int, int], strategy: Strategy) -> int:
    """The unit with which the next passage begins; `before` are those of this one.

    What it shares leaves room for something new.
    """
    first, last = before
    at = last + 1
    earliest = max(
        units[last].last_byte - strategy.overlap * BYTES_PER_TOKEN,
        units[at].last_byte - strategy.bytes,
    )
    while units[at].level != _HEADING and at - 1 > first and units[at - 1].first_byte >= earliest:
        at -= 1
    return at


def _units(text: str, bytes_max: int) -> Iterator[_Unit]:
    """Sentences, and parts of those that are longer than a passage."""
    at_char = at_byte = 0
    for start, end, level in _sentences(text):
        at_byte += len(text[at_char:start].encode("utf-8", "replace"))
        size = len(text[start:end].encode("utf-8", "replace"))
        if size <= bytes_max:
            yield _Unit(start, end, at_byte, at_byte + size, level)
        else:
            yield from _cut(text, start, end, at_byte, (level, bytes_max))
        at_char, at_byte = end, at_byte + size


def _sentences(text: str) -> Iterator[tuple[int, int, int]]:
    start, level = 0, _HEADING if text.startswith("#") else _PARAGRAPH
    for found in _BREAK.finditer(text):
        yield from _trimmed(text, start, found.start() + len(found[0].rstrip()), level)
        start = found.end()
        level = _level(text, found)
    yield from _trimmed(text, start, len(text), level)


def _level(text: str, found: re.Match[str]) -> int:
    lines = found[0].count("\n")
    if lines and text.startswith("#", found.end()):
        return _HEADING
    return _PARAGRAPH if lines > 1 else _SENTENCE


def _trimmed(text: str, start: int, end: int, level: int) -> Iterator[tuple[int, int, int]]:
    piece = text[start:end]
    bare = piece.lstrip()
    start += len(piece) - len(bare)
    bare = bare.rstrip()
    if bare:
        yield start, start + len(bare), level


def _cut(text: str, start: int, end: int, at_byte: int, how: tuple[int, int]) -> Iterator[_Unit]:
    """A long sentence in words, and a long word in pieces."""
    level, bytes_max = how
    for word_start, word_end in _words(text, start, end):
        at_byte += len(text[start:word_start].encode("utf-8", "replace"))
        start = word_start
        while start < word_end:
            stop = min(word_end, start + bytes_max)
            # A character has at most 4 bytes; most have one.
            while (size := len(text[start:stop].encode("utf-8", "replace"))) > bytes_max:
                stop = start + max(1, (stop - start) * bytes_max // size - 1)
            yield _Unit(start, stop, at_byte, at_byte + size, level)
            start, at_byte, level = stop, at_byte + size, _WORD


def _words(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    at = start
    for space in _SPACE.finditer(text, start, end):
        if space.start() > at:
            yield at, space.start()
        at = space.end()
    if at < end:
        yield at, end
