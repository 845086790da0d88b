"""A stream as an async iterator of text. Rule: a reader that is slow pauses the provider."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from gatemill.gateway.blocks import blocks_of
from gatemill.wire import sse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gatemill.core.ports import Stream

_decode = msgspec.json.Decoder().decode


async def pieces_of(stream: Stream) -> AsyncGenerator[str, None]:
    """The text of each chunk that has any. Raises GatemillError when the stream fails.

    An iterator that is closed early hangs up.
    """
    async with aclosing(blocks_of(stream)) as blocks:
        async for block in blocks:
            for text in _texts(block):
                yield text


def _texts(data: bytes) -> list[str]:
    found = []
    for _, event in sse.events(data):
        if event == b"[DONE]":
            continue
        for choice in _decode(event).get("choices") or ():
            text = (choice.get("delta") or {}).get("content")
            if text:
                found.append(text)
    return found
