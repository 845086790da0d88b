"""Guards as the database holds them: JSON, "" for none."""

from __future__ import annotations

import functools

import msgspec

from gatemill.core.guard import NOTHING, Uses


@functools.lru_cache(1_000)
def decode(text: str) -> Uses:
    """The guards of a row; equal texts share one object."""
    return msgspec.json.decode(text, type=Uses) if text else NOTHING


def encode(uses: Uses) -> str:
    """The text of a row."""
    return msgspec.json.encode(uses).decode() if uses else ""
