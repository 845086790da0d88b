"""What the gateway reads of a Messages request. Rule: the head is checked, the rest stays bytes."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from gatemill.core.call import Head
from gatemill.wire import fields
from gatemill.wire.fields import Count

_HINTS = {
    "model": "GET /v1/models lists the names.",
    "max_tokens": "Send the largest number of tokens the answer may have.",
    "messages": "Send at least one message.",
    "role": "Use user or assistant; system text belongs into the top-level `system`.",
    "content": "Send a string or an array of content blocks.",
    "system": "Send a string or an array of text blocks.",
    "temperature": "Anthropic's range is 0 to 1.",
    "top_p": "The range is 0 to 1.",
}
_Name = Annotated[str, Meta(min_length=1)]
_Share = Annotated[float, Meta(ge=0, le=1)]


class _Block(Struct):
    type: str


class _Text(Struct, tag_field="type", tag="text"):
    text: str


class _User(Struct, tag_field="role", tag="user"):
    content: str | list[_Block]


class _Assistant(Struct, tag_field="role", tag="assistant"):
    content: str | list[_Block]


class _System(Struct, tag_field="role", tag="system"):
    # Newer models take system messages in mid-conversation (SDK 2.11, SystemMessageParam).
    content: str | list[_Text]


class _Metadata(Struct):
    user_id: str | None = None


_Messages = Annotated[list[_User | _Assistant | _System], Meta(min_length=1)]


class _MessagesHead(Struct):
    model: _Name
    max_tokens: Count  # 0 warms the prompt cache without an answer
    messages: _Messages
    system: str | list[_Text] | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: _Share | None = None
    top_p: _Share | None = None
    top_k: Count | None = None
    tools: list[dict[str, Raw]] | None = None
    tool_choice: _Block | None = None
    thinking: _Block | None = None
    metadata: _Metadata | None = None


class _CountHead(Struct):
    model: _Name
    messages: _Messages
    system: str | list[_Text] | None = None
    tools: list[dict[str, Raw]] | None = None


_messages_head = msgspec.json.Decoder(_MessagesHead)
_count_head = msgspec.json.Decoder(_CountHead)


def head(body: bytes) -> Head:
    """The head of a Messages request. Raises InvalidRequest and its kinds."""
    read = fields.decode_head(_messages_head, body, _HINTS)
    return Head(
        model=read.model,
        stream=bool(read.stream),
        output_max=read.max_tokens,
        user=(read.metadata.user_id or "") if read.metadata else "",
    )


def count_head(body: bytes) -> Head:
    """The head of a count_tokens request: the same without an answer."""
    read = fields.decode_head(_count_head, body, _HINTS)
    return Head(model=read.model, output_max=0)


def native(body: bytes, head: Head, model: str, *, stream_usage: bool) -> bytes:
    """The body for an Anthropic upstream, whose streams always say their usage."""
    return fields.renamed(body, head.model, model)
