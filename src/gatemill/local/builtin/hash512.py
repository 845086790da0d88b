"""builtin/hash-512: texts as vectors of hashed words. Rule: the same text has the same vector on every machine."""

from __future__ import annotations

import base64
import math
import struct
from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec
from msgspec import Struct

from gatemill.core.errors import InvalidType, InvalidValue
from gatemill.local.builtin.words import stem, words
from gatemill.policy import tokens

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gatemill.core.ports import Json

DIMENSIONS = 512
TEXT_CHARS_MAX = 100_000
CHARS_MAX = 2_000_000  # of all texts of a request: about two seconds of work
_GRAM = 4  # characters of a piece of a word
_WORD, _PAIR, _PIECE = 1.0, 0.7, 0.3  # what each counts


class _Asked(Struct):
    input: Any
    dimensions: int | None = None
    encoding_format: str | None = None


_asked = msgspec.json.Decoder(_Asked)


def answer(body: bytes, now_s: float) -> Json:
    """The answer to an embeddings request. Raises InvalidType, InvalidValue."""
    asked = _asked.decode(body)
    texts = _texts(asked.input)
    if asked.dimensions not in (None, DIMENSIONS):
        raise InvalidValue(
            f"`dimensions`: builtin/hash-512 has {DIMENSIONS} and no others. Leave it out.",
            param="dimensions",
        )
    data = []
    for index, text in enumerate(texts):
        packed = vector(text)
        if asked.encoding_format == "base64":
            shown: Any = base64.b64encode(packed).decode()
        else:
            shown = struct.unpack(f"<{DIMENSIONS}f", packed)
        data.append({"object": "embedding", "index": index, "embedding": shown})
    used = sum(tokens.estimate(len(text.encode("utf-8", "replace"))) for text in texts)
    return {
        "object": "list",
        "data": data,
        "model": "builtin/hash-512",
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }


def _texts(given: Any) -> list[str]:
    texts = given if isinstance(given, list) else [given]
    total = 0
    for at, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidType(
                "`input`: builtin/hash-512 has no tokenizer, so it takes no tokens. Send text.",
                param="input",
            )
        total += len(text)
        if len(text) > TEXT_CHARS_MAX:
            raise InvalidValue(
                f"`input.{at}`: has {len(text)} characters; {TEXT_CHARS_MAX} are the most. Cut it.",
                param=f"input.{at}",
            )
    if total > CHARS_MAX:
        raise InvalidValue(
            f"`input`: has {total} characters; {CHARS_MAX} are the most. Send fewer texts.",
            param="input",
        )
    return texts


def vector(text: str) -> bytes:
    """512 numbers of length 1 together: float32, little-endian."""
    counts: dict[str, float] = {}
    for feature, weight in _features(text):
        counts[feature] = counts.get(feature, 0.0) + weight
    sums = [0.0] * DIMENSIONS
    for feature, count in counts.items():
        hashed = crc32(feature.encode("utf-8", "replace"))
        sign = 1.0 if hashed & 0x80000000 else -1.0
        sums[hashed % DIMENSIONS] += sign * math.log1p(count)
    length = math.sqrt(sum(each * each for each in sums)) or 1.0
    return struct.pack(f"<{DIMENSIONS}f", *(each / length for each in sums))


def _features(text: str) -> Iterable[tuple[str, float]]:
    found = [stem(word) for word in words(text)] or [text]
    before = ""
    for word in found:
        yield f"w {word}", _WORD
        if before:
            yield f"p {before} {word}", _PAIR
        before = word
        edged = f"<{word}>"
        for at in range(len(edged) - _GRAM + 1):
            yield f"c {edged[at : at + _GRAM]}", _PIECE
