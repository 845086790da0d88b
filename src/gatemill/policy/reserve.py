"""The most that a request can use. Rule: an upper bound for money, whatever the text says.

A token stands for at least one byte of UTF-8, and a body is never shorter than its texts, so its
bytes bound its prompt tokens. Pictures are the exception both ways: their data is long and their
tokens depend on their size, so each counts what the settings say. Sound and files count that and
their bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gatemill.core.money import PICO_PER_MICRO

if TYPE_CHECKING:
    from gatemill.core.call import Price
    from gatemill.core.ports import Json

_PICTURES = frozenset(("image_url", "input_image", "image"))
MICROUSD_MAX = 1 << 50  # a billion dollars: nothing costs as much, and every counter holds it
_FILES = frozenset(("input_audio", "audio", "file", "input_file", "document", "video_url"))
# Any part of these kinds has its name as the value of "type".
MARKS = tuple(f'"{name}"'.encode() for name in sorted(_PICTURES | _FILES))


def has_attachments(body: bytes) -> bool:
    """The body may hold pictures, sound or files; True also where a text mentions their names."""
    return any(map(body.__contains__, MARKS))


def attachments(body: Json) -> tuple[int, int]:
    """How many pictures, sounds and files a request holds, and the characters of picture data."""
    count = picture_chars = 0
    waiting: list[Any] = [body]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            kind = value.get("type")
            if kind in _PICTURES:
                count += 1
                picture_chars += _data_chars(value)
            elif kind in _FILES:
                count += 1
            waiting.extend(value.values())
    return count, picture_chars


def _data_chars(picture: Json) -> int:
    source = picture.get("source") or picture.get("image_url") or ""
    if isinstance(source, dict):
        source = source.get("data") or source.get("url") or ""
    return len(source) if isinstance(source, str) else 0


def worst_microusd(price: Price, prompt_tokens: int, output_tokens: int) -> int:
    """The most that so many tokens can cost at any of the price's rates, rounded up; at most `MICROUSD_MAX`."""
    worst = _pico(price, prompt_tokens, output_tokens)
    for tier in price.tiers:
        if prompt_tokens > tier.above_tokens:
            worst = max(worst, _pico(tier, prompt_tokens, output_tokens))
    return min(-(-worst // PICO_PER_MICRO), MICROUSD_MAX)


def _pico(rates: Price, prompt_tokens: int, output_tokens: int) -> int:
    written = max(rates.cache_write, rates.cache_write_1h)
    prompt = max(rates.input, rates.cache_read, written, rates.input_audio)
    return (
        prompt_tokens * prompt
        + output_tokens * max(rates.output, rates.output_audio)
        + rates.request
    )
