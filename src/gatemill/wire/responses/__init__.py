"""OpenAI's responses: POST /v1/responses, created and streamed.

Rule: natively the bytes pass and only the head is read; through the hub every field of the request
is carried, answered, or refused by name. Translated responses are not stored.
Source: OpenAI's OpenAPI document 2.3.0.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from gatemill.core.call import Head, Usage
from gatemill.core.errors import MissingParameter, UpstreamBadReply
from gatemill.wire import fields
from gatemill.wire.responses.answer import from_chat
from gatemill.wire.responses.passage import ReplyUsage, ResponsesPassage, usage_of
from gatemill.wire.responses.request import to_chat
from gatemill.wire.responses.stream import writer

__all__ = (
    "FAMILY",
    "NAME",
    "from_chat",
    "head",
    "native",
    "passage",
    "to_chat",
    "usage",
    "writer",
)

NAME = "responses"
FAMILY = "openai"

_NULL = Raw(b"null")  # what a Raw field says when it is absent; Raw | None would take null alone
_HINTS = {
    "model": "GET /v1/models lists the names.",
    "input": "Send a string or an array of items.",
    "role": "Use user, assistant, system or developer.",
}


class _Typed(Struct):
    type: str


class _Item(Struct):
    type: str | None = None
    role: str | None = None


class _ResponsesHead(Struct):
    model: Annotated[str, Meta(min_length=1)]
    input: str | list[_Item] | None = None
    instructions: str | None = None
    prompt: Raw = _NULL
    previous_response_id: str | None = None
    conversation: Raw = _NULL
    stream: bool | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    tools: list[_Typed] | None = None
    background: bool | None = None
    user: str | None = None
    safety_identifier: str | None = None


class _Reply(Struct):
    id: str
    output: list[Raw]
    status: str | None = None
    usage: ReplyUsage | None = None
    error: Raw = _NULL


_head = msgspec.json.Decoder(_ResponsesHead)
_reply = msgspec.json.Decoder(_Reply, strict=False)


def head(body: bytes) -> Head:
    """The head of a responses request. Raises InvalidRequest and its kinds."""
    read = fields.decode_head(_head, body, _HINTS)
    stored = read.previous_response_id or _says(read.prompt) or _says(read.conversation)
    if read.input is None and not stored:
        raise MissingParameter(
            "`input`: is required. Send a string or an array of items.", param="input"
        )
    return Head(
        model=read.model,
        stream=bool(read.stream),
        output_max=read.max_output_tokens,
        user=read.safety_identifier or read.user or "",
    )


def native(body: bytes, head: Head, model: str, *, stream_usage: bool) -> bytes:
    """The body with the upstream's model name; these streams carry usage without being asked."""
    return fields.renamed(body, head.model, model)


def usage(body: bytes) -> Usage | None:
    """Usage in a complete answer. Raises UpstreamBadReply."""
    try:
        read = _reply.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UpstreamBadReply("The provider's answer is not what its API defines.") from None
    if _says(read.error):
        raise UpstreamBadReply("The provider answered 200 with an error inside.")
    if read.status == "failed":
        raise UpstreamBadReply("The provider answered 200 with a failed response.")
    return usage_of(read.usage) if read.usage else None


def passage(head: Head) -> ResponsesPassage:
    """A pass-through for one native stream."""
    return ResponsesPassage()


def _says(raw: Raw) -> bool:
    return bytes(raw) != b"null"
