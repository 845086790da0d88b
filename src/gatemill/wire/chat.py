"""OpenAI's chat completions: the format most callers speak, and the hub of all translations.

Rule: between equals the bytes pass; only the head is read, and only model and stream_options are
ever rewritten. Source: OpenAI's OpenAPI document 2.3.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from gatemill.core.call import Head, Usage
from gatemill.core.errors import InvalidValue, MissingParameter, UpstreamBadReply
from gatemill.wire import fields, sse
from gatemill.wire.fields import Entities, OpenAIUsage, from_openai_usage, openai_usage
from gatemill.wire.passage import ChatPassage

if TYPE_CHECKING:
    from gatemill.core.call import Call
    from gatemill.core.ports import Json

NAME = "chat"
FAMILY = "openai"

_TRUE = Raw(b"true")
# `Raw | None` would take null alone, so an absent field is the raw null.
_NULL = Raw(b"null")
_HINTS = {
    "role": "Use system, developer, user, assistant, tool or function.",
    "messages": "Send at least one message.",
    "content": "Send a string or an array of content parts.",
    "model": "GET /v1/models lists the names.",
    "tool_call_id": "Repeat the id of the tool call that this message answers.",
}


class _Part(Struct):
    type: str


Content = str | list[_Part]


class _System(Struct, tag_field="role", tag="system"):
    content: Content


class _Developer(Struct, tag_field="role", tag="developer"):
    content: Content


class _User(Struct, tag_field="role", tag="user"):
    content: Content


class _Assistant(Struct, tag_field="role", tag="assistant"):
    content: Content | None = None


class _Tool(Struct, tag_field="role", tag="tool"):
    content: Content
    tool_call_id: str


class _Function(Struct, tag_field="role", tag="function"):
    name: str
    content: str | None = None


class StreamOptions(Struct):
    """The one stream option the gateway reads."""

    include_usage: bool | None = None


class _ToolSpec(Struct):
    type: str


class _ChatHead(Struct):
    model: Annotated[str, Meta(min_length=1)]
    # At least one, unless a prompt of the registry brings them; SDKs cannot leave the field out.
    messages: list[_System | _Developer | _User | _Assistant | _Tool | _Function] | UnsetType = (
        UNSET
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    stop: str | list[str] | None = None
    tools: list[_ToolSpec] | None = None
    user: str | None = None
    safety_identifier: str | None = None  # OpenAI's newer name for `user`
    # Ours; taken out before a provider sees the body.
    prompt_id: Annotated[str, Meta(min_length=1, max_length=300)] | None = None
    prompt_variables: dict[str, Any] | None = None
    entities: Entities | None = None


class _Reply(Struct):
    choices: list[Raw] | None = None
    usage: OpenAIUsage | None = None
    error: Raw = _NULL


_head = msgspec.json.Decoder(_ChatHead)
_reply = msgspec.json.Decoder(_Reply, strict=False)


def head(body: bytes) -> Head:
    """The head of a chat request. Raises InvalidRequest and its kinds."""
    read = fields.decode_head(_head, body, _HINTS)
    if not read.messages and read.prompt_id is None:
        if read.messages is UNSET:
            raise MissingParameter(
                f"`messages`: is required. {_HINTS['messages']}", param="messages"
            )
        raise InvalidValue(f"`messages`: is empty. {_HINTS['messages']}", param="messages")
    options = read.stream_options
    return Head(
        model=read.model,
        stream=bool(read.stream),
        wants_usage=options is not None and bool(options.include_usage),
        # Whichever of the two the upstream obeys, no answer is longer.
        output_max=max(read.max_completion_tokens or 0, read.max_tokens or 0) or None,
        choices=read.n or 1,
        user=read.safety_identifier or read.user or "",
        prompt=read.prompt_id or "",
        entities=tuple(read.entities.items()) if read.entities else (),
    )


def native(body: bytes, head: Head, model: str, *, stream_usage: bool) -> bytes:
    """The body for an OpenAI upstream; see ports.Surface."""
    asks = stream_usage and head.stream and not head.wants_usage
    if not asks:
        return fields.renamed(body, head.model, model)
    outer = fields.shallow(body)
    outer["model"] = Raw(fields.encode(model))
    given = outer.get("stream_options")
    options = fields.shallow(given) if given and bytes(given) != b"null" else {}
    options["include_usage"] = _TRUE
    outer["stream_options"] = Raw(fields.encode(options))
    return fields.encode(outer)


def usage(body: bytes) -> Usage | None:
    """Usage in a complete answer. Raises UpstreamBadReply."""
    return reply_usage(_reply, body)


def reply_usage(decoder: msgspec.json.Decoder[Any], body: bytes) -> Usage | None:
    """Usage in a complete answer that has `usage`, `error` and one of `choices` or `data`."""
    try:
        read = decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UpstreamBadReply("The provider's answer is not what its API defines.") from None
    if bytes(read.error) != b"null":
        raise UpstreamBadReply("The provider answered 200 with an error inside.")
    if (read.choices if hasattr(read, "choices") else read.data) is None:
        raise UpstreamBadReply("The provider's answer holds no result.")
    return from_openai_usage(read.usage) if read.usage else None


def passage(head: Head) -> ChatPassage:
    """A pass-through for one native stream."""
    return ChatPassage(strip_usage=not head.wants_usage)


def to_chat(body: bytes, call: Call) -> Json:
    """The request itself: this format is the hub. Raises InvalidValue."""
    return fields.read_object(body)


def from_chat(completion: Json, call: Call, usage: Usage) -> bytes:
    """The answer itself."""
    return fields.encode(completion)


def writer(call: Call) -> ChatWriter:
    """A writer for one translated stream."""
    return ChatWriter(wants_usage=call.head.wants_usage)


class ChatWriter:
    """Hub chunks as OpenAI's events."""

    def __init__(self, *, wants_usage: bool) -> None:
        self._wants_usage = wants_usage
        self._last: Json = {}

    def write(self, chunk: Json) -> bytes:
        """One event."""
        self._last = chunk
        return sse.event(fields.encode({**chunk, "usage": None} if self._wants_usage else chunk))

    def finish(self, usage: Usage | None) -> bytes:
        """The usage chunk when the caller asked for it, and the end mark."""
        if not self._wants_usage or usage is None:
            return sse.DONE
        chunk = {**self._last, "choices": [], "usage": openai_usage(usage)}
        return sse.event(fields.encode(chunk)) + sse.DONE
