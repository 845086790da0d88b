"""The hub's request, as far as Anthropic can take it, extensions included.

Rule: a field that is not named here is either a hint or refused; request.py holds those tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.wire import fields

if TYPE_CHECKING:
    from gatemill.core.ports import Json

_Object = dict[str, Any]


class Text(Struct, tag_field="type", tag="text"):
    """A text part."""

    text: str
    cache_control: _Object | None = None


class Refusal(Struct, tag_field="type", tag="refusal"):
    """A refusal of an earlier answer."""

    refusal: str


class ImageUrl(Struct):
    """An http(s) URL or a data URI."""

    url: str
    detail: str | None = None


class Image(Struct, tag_field="type", tag="image_url"):
    """An image part."""

    image_url: ImageUrl
    cache_control: _Object | None = None


class FileData(Struct):
    """A file's content or its id at OpenAI."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class File(Struct, tag_field="type", tag="file"):
    """A file part."""

    file: FileData
    cache_control: _Object | None = None


class Audio(Struct, tag_field="type", tag="input_audio"):
    """An audio part."""

    input_audio: Any = None


Part = Text | Image | File | Audio


class Function(Struct):
    """Name and arguments of a call."""

    name: str
    arguments: str = ""


class ToolCall(Struct):
    """A tool call of an earlier answer."""

    id: str
    type: str = "function"
    function: Function | None = None
    cache_control: _Object | None = None


class System(Struct, tag_field="role", tag="system"):
    """Instructions."""

    content: str | list[Text]
    name: str | None = None


class Developer(Struct, tag_field="role", tag="developer"):
    """Instructions, newer name."""

    content: str | list[Text]
    name: str | None = None


class User(Struct, tag_field="role", tag="user"):
    """What the user said."""

    content: str | list[Part]
    name: str | None = None


class Assistant(Struct, tag_field="role", tag="assistant"):
    """An earlier answer. `thinking_blocks` holds Anthropic's thinking blocks as they came."""

    content: str | list[Text | Refusal] | None = None
    refusal: str | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    audio: _Object | None = None
    thinking_blocks: list[_Object] | None = None
    reasoning_content: str | None = None


class Tool(Struct, tag_field="role", tag="tool"):
    """What a tool answered."""

    tool_call_id: str
    content: str | list[Part] = ""
    is_error: bool | None = None
    cache_control: _Object | None = None


class FunctionResult(Struct, tag_field="role", tag="function"):
    """What a function answered, before tools."""

    name: str
    content: str | None = None


Message = System | Developer | User | Assistant | Tool | FunctionResult


class FunctionSpec(Struct):
    """What a function is for and takes."""

    name: str
    description: str | None = None
    parameters: _Object | None = None
    strict: bool | None = None


class ToolSpec(Struct):
    """A tool; only functions can be carried."""

    type: str
    function: FunctionSpec | None = None
    cache_control: _Object | None = None


class JsonSchema(Struct):
    """A schema for the answer."""

    schema: _Object | None = None


class ResponseFormat(Struct):
    """What the answer must look like."""

    type: str
    json_schema: JsonSchema | None = None


class Request(Struct):
    """The fields that are carried."""

    messages: list[Message]
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    tools: list[ToolSpec] | None = None
    tool_choice: str | _Object | None = None
    parallel_tool_calls: bool | None = None
    functions: list[FunctionSpec] | None = None
    function_call: str | _Object | None = None
    user: str | None = None
    safety_identifier: str | None = None
    reasoning_effort: str | None = None
    thinking: _Object | None = None
    response_format: ResponseFormat | None = None


_decoder = msgspec.json.Decoder(Request)
_HINTS = {
    "type": "Anthropic's models do not know this kind.",
    "content": "Send a string or an array of content parts.",
}
FIELDS = frozenset((*Request.__struct_fields__, "model", "stream", "stream_options"))


def read(chat: Json) -> Request:
    """The request in types. Raises InvalidRequest and its kinds."""
    try:
        return msgspec.convert(chat, Request)
    except msgspec.ValidationError:
        # Once more from bytes, because that way names the field; this path ends in an error.
        return fields.decode_head(_decoder, fields.encode(chat), _HINTS)
