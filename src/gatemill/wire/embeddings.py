"""OpenAI's embeddings. Rule: passes through; vectors are never decoded here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import msgspec
from msgspec import Meta, Raw, Struct

from gatemill.core.call import Head, Usage
from gatemill.core.errors import InvalidValue, UnsupportedOperation
from gatemill.wire import fields
from gatemill.wire.chat import reply_usage
from gatemill.wire.fields import OpenAIUsage

if TYPE_CHECKING:
    from gatemill.core.call import Call
    from gatemill.core.ports import ChunkWriter, Json, Transform

NAME = "embeddings"
FAMILY = "openai"

_INPUTS_MAX = 2048  # OpenAI's limit on one request
_HINTS = {
    "input": "Send a string, an array of 1 to 2048 strings, or token arrays.",
    "model": "GET /v1/models lists the names.",
    "encoding_format": "Use float or base64.",
}
_Text = Annotated[str, Meta(min_length=1)]
_Tokens = Annotated[list[int], Meta(min_length=1)]


class _EmbeddingsHead(Struct):
    model: Annotated[str, Meta(min_length=1)]
    input: _Text | Annotated[list[str | int | _Tokens], Meta(min_length=1, max_length=_INPUTS_MAX)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    user: str | None = None
    safety_identifier: str | None = None


_NULL = Raw(b"null")  # `Raw | None` would take null alone


class _Reply(Struct):
    data: list[Raw] | None = None
    usage: OpenAIUsage | None = None
    error: Raw = _NULL


_head = msgspec.json.Decoder(_EmbeddingsHead)
_reply = msgspec.json.Decoder(_Reply, strict=False)


def head(body: bytes) -> Head:
    """The head of an embeddings request. Raises InvalidRequest and its kinds."""
    read = fields.decode_head(_head, body, _HINTS)
    if isinstance(read.input, list):
        kinds = {type(item) for item in read.input}
        if len(kinds) > 1:
            raise InvalidValue("`input`: do not mix strings and tokens.", param="input")
        if "" in read.input:
            raise InvalidValue("`input`: an empty string has no embedding.", param="input")
    return Head(model=read.model, user=read.safety_identifier or read.user or "")


def native(body: bytes, head: Head, model: str, *, stream_usage: bool) -> bytes:
    """The body with the upstream's model name."""
    return fields.renamed(body, head.model, model)


def usage(body: bytes) -> Usage | None:
    """Usage in a complete answer. Raises UpstreamBadReply."""
    return reply_usage(_reply, body)


def passage(head: Head) -> Transform:
    """Embeddings are not streamed."""
    _refuse()


def to_chat(body: bytes, call: Call) -> Json:
    """Embeddings have no way through the hub."""
    _refuse()


def from_chat(completion: Json, call: Call, usage: Usage) -> bytes:
    """Embeddings have no way through the hub."""
    _refuse()


def writer(call: Call) -> ChunkWriter:
    """Embeddings are not streamed."""
    _refuse()


def _refuse() -> NoReturn:
    raise UnsupportedOperation(
        "The provider behind this model has no embeddings. Choose an embedding model.",
        param="model",
    )
