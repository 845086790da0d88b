"""The Messages request in full, as far as the hub can express it.

Rule: a block or tool without a Struct here cannot be carried to another format.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from gatemill.core.errors import InvalidValue, UnsupportedParameter
from gatemill.wire import fields

Json = dict[str, Any]


class Text(Struct, tag_field="type", tag="text"):
    """A text block. Citations of an earlier answer are left out: they repeat their documents."""

    text: str
    cache_control: Json | None = None


class Source(Struct):
    """Where an image or document is: base64, url or text."""

    type: str
    media_type: str = ""
    data: str = ""
    url: str = ""


class Image(Struct, tag_field="type", tag="image"):
    """An image block."""

    source: Source
    cache_control: Json | None = None


class Document(Struct, tag_field="type", tag="document"):
    """A document block."""

    source: Source
    title: str | None = None
    context: str | None = None
    citations: Json | None = None
    cache_control: Json | None = None


class Thinking(Struct, tag_field="type", tag="thinking"):
    """A thinking block; one without a signature was made by another provider."""

    thinking: str
    signature: str = ""


class RedactedThinking(Struct, tag_field="type", tag="redacted_thinking"):
    """Thinking that only Anthropic can read."""

    data: str


class ToolUse(Struct, tag_field="type", tag="tool_use"):
    """A call of a tool."""

    id: str
    name: str
    input: Json
    cache_control: Json | None = None


class ToolResult(Struct, tag_field="type", tag="tool_result"):
    """What a tool answered."""

    tool_use_id: str
    content: str | list[Text | Image | Document] | None = None
    is_error: bool | None = None
    cache_control: Json | None = None


class User(Struct, tag_field="role", tag="user"):
    """A user turn."""

    content: str | list[Text | Image | Document | ToolResult]


class Assistant(Struct, tag_field="role", tag="assistant"):
    """An assistant turn."""

    content: str | list[Text | Thinking | RedactedThinking | ToolUse]


class System(Struct, tag_field="role", tag="system"):
    """Instructions in mid-conversation."""

    content: str | list[Text]


class Tool(Struct):
    """A tool; server tools have a `type` of their own."""

    type: str | None = None
    name: str = ""
    description: str | None = None
    input_schema: Json | None = None
    strict: bool | None = None
    cache_control: Json | None = None


class ToolChoice(Struct):
    """How the model should use the tools."""

    type: Literal["auto", "any", "tool", "none"]
    name: str = ""
    disable_parallel_tool_use: bool | None = None


class ThinkingConfig(Struct):
    """Whether and how much to think."""

    type: str
    budget_tokens: int = 0


class Format(Struct):
    """A JSON schema for the answer."""

    type: Literal["json_schema"]
    schema: Json


class OutputConfig(Struct):
    """Effort and format of the answer."""

    effort: str | None = None
    format: Format | None = None


class Metadata(Struct):
    """Who the request is for."""

    user_id: str | None = None


class Request(Struct):
    """The fields that the hub can express."""

    model: str
    messages: list[User | Assistant | System]
    max_tokens: int
    system: str | list[Text] | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    metadata: Metadata | None = None


_decoder = msgspec.json.Decoder(Request)
FIELDS = frozenset(Request.__struct_fields__)


def read(body: bytes) -> Request:
    """The request. Raises UnsupportedParameter for blocks that only Anthropic knows."""
    try:
        return fields.decode_head(_decoder, body)
    except InvalidValue as error:
        if error.param and error.param.startswith("messages.") and error.param.endswith(".type"):
            raise UnsupportedParameter(
                f"`{error.param}`: this block cannot be carried to a model of another provider."
                " Remove it, or choose an Anthropic model.",
                param=error.param,
            ) from None
        raise
