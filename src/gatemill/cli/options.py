"""Words of options -> values. Rule: a mistake in them is a Failure with code 2 and an example."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatemill.cli.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence

_INPUT_CHARS_MAX = 33_554_432


def arguments(text: str, option: str = "--args") -> Any:
    """The JSON that `text` is, or that is in the file it names with an @. Raises Failure."""
    import msgspec

    source = option
    if text.startswith("@"):
        source = text[1:]
        text = _file_text(source)
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        fix = f"""{option} '{{"name": "value"}}', or {option} @file.json"""
        raise Failure(f"{source} is no JSON: {error}", fix=fix, code=2) from error


def pairs(said: Sequence[str]) -> dict[str, str]:
    """The metadata in `name=value`. Raises Failure."""
    parts = [each.partition("=") for each in said]
    for each, (name, mark, _) in zip(said, parts, strict=True):
        if not name or not mark:
            raise Failure(f"--metadata {each}: not a pair", fix="--metadata name=value", code=2)
    return {name: value for name, _, value in parts}


def moment(text: str, now_s: float) -> float | str:
    """What the API takes for a moment: +90m is counted from now, the rest goes as it is."""
    if text.startswith("+"):
        return now_s + seconds(text[1:], "--run-at +")
    return float(text) if text.replace(".", "", 1).isdecimal() else text


def seconds(text: str, option: str) -> float:
    """The length of 45s, 90m, 12h or 7d. Raises Failure."""
    from gatemill.wire.moments import UNITS_S

    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdecimal()) or unit not in UNITS_S:
        raise Failure(f"{option}{text}: not a duration", fix="write 45s, 90m, 12h or 7d", code=2)
    return float(number) * UNITS_S[unit]


def _file_text(name: str) -> str:
    if name == "-":
        return sys.stdin.read(_INPUT_CHARS_MAX)
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8"
        raise Failure(f"cannot read {name}: {reason}", fix="name a JSON file", code=2) from error
