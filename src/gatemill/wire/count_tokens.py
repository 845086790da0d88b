"""Anthropic's count_tokens. Rule: native counts pass through; everywhere else we estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
from msgspec import Struct

from gatemill.core.call import Usage
from gatemill.core.errors import UnsupportedOperation, UpstreamBadReply
from gatemill.wire import fields
from gatemill.wire.fields import Count
from gatemill.wire.messages.shape import count_head as head
from gatemill.wire.messages.shape import native

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.core.call import Call, Head
    from gatemill.core.ports import ChunkWriter, Json, Transform

__all__ = [
    "FAMILY",
    "NAME",
    "estimate",
    "from_chat",
    "head",
    "native",
    "passage",
    "to_chat",
    "usage",
    "writer",
]

NAME = "count_tokens"
FAMILY = "anthropic"

_BYTES_PER_TOKEN = 4  # within -19 and +45 % of a real tokenizer over languages and code
_IMAGE_TOKENS = 1_600  # the most that one image costs at Anthropic's standard resolution
# Read by machines, not by the model: ids, types and signatures cost it next to nothing.
_UNCOUNTED = frozenset(("id", "type", "role", "signature", "tool_use_id", "cache_control"))


class _Reply(Struct):
    input_tokens: Count


_reply = msgspec.json.Decoder(_Reply).decode


def usage(body: bytes) -> Usage | None:
    """No tokens: counting is free, whatever the count. Raises UpstreamBadReply."""
    try:
        _reply(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UpstreamBadReply("The provider's answer is not a token count.") from None
    return Usage()


def estimate(body: bytes) -> bytes:
    """The answer for a target that cannot count: all texts' UTF-8 bytes / 4, rounded up.

    `body` has passed `head`. Images count 1600 tokens each, base64 documents a 16th of their bytes.
    """
    request = fields.read_object(body)
    text_bytes, tokens = _weigh([request.get(name) for name in ("system", "messages", "tools")])
    return fields.encode({"input_tokens": tokens - (-text_bytes // _BYTES_PER_TOKEN)})


def _weigh(root: Any) -> tuple[int, int]:
    """(bytes of text, tokens of images) below `root`; iterative, so that depth costs no frames."""
    text_bytes = tokens = 0
    todo = [root]
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            text_bytes += len(value.encode())
        elif isinstance(value, list):
            todo.extend(value)
        elif isinstance(value, dict):
            kind = value.get("type")
            tokens += _IMAGE_TOKENS if kind == "image" else 0
            text_bytes += _base64_bytes(value) if kind == "base64" else 0
            if kind not in ("image", "base64"):
                todo.extend(_texts(value))
    return text_bytes, tokens


def _base64_bytes(source: Json) -> int:
    return len(str(source.get("data", ""))) // _BYTES_PER_TOKEN


def _texts(block: Json) -> Iterator[Any]:
    """What a model reads of a block; tool inputs and schemas as the JSON they are."""
    for name, value in block.items():
        if name in ("input", "input_schema"):
            yield fields.encode(value).decode()
        elif name not in _UNCOUNTED:
            yield value


def _refuse() -> NoReturn:
    raise UnsupportedOperation("count_tokens has no chat form: count natively or estimate.")


def passage(head: Head) -> Transform:
    """Counts are not streamed."""
    _refuse()


def to_chat(body: bytes, call: Call) -> Json:
    """A count has no chat form; see `estimate`."""
    _refuse()


def from_chat(completion: Json, call: Call, usage: Usage) -> bytes:
    """A count has no chat form; see `estimate`."""
    _refuse()


def writer(call: Call) -> ChunkWriter:
    """Counts are not streamed."""
    _refuse()
