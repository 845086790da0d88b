"""Reranking: documents in the order in which they answer a query, as Cohere and Jina have it.

Rule: passes through; only the head is read. Usage is read under all the names that servers give it.
Source: Cohere's and Jina's API references and vLLM's `/v1/rerank`, read 2026-11-21.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NoReturn

import msgspec
from msgspec import Meta, Raw, Struct

from gatemill.core.call import Head, Usage
from gatemill.core.errors import InvalidValue, UnsupportedOperation, UpstreamBadReply
from gatemill.wire import fields
from gatemill.wire.fields import TOKENS_MAX, Count

if TYPE_CHECKING:
    from gatemill.core.call import Call
    from gatemill.core.ports import ChunkWriter, Json, Transform

NAME = "rerank"
FAMILY = "openai"

DOCUMENTS_MAX = 1000  # in one request, as Cohere has it
TEXT_CHARS_MAX = 100_000  # of the query, and of each document
_HINTS = {
    "query": "Send the text to compare with, at least one character.",
    "documents": f'Send an array of 1 to {DOCUMENTS_MAX} texts, or of objects such as {{"text": "..."}}.',
    "text": "Send the document's text.",
    "model": "GET /v1/models lists the names.",
    "top_n": "Send a whole number from 1.",
}
_Text = Annotated[str, Meta(max_length=TEXT_CHARS_MAX)]


class Document(Struct):
    """A document as an object."""

    text: _Text


class RerankHead(Struct):
    """A request, as far as it is read."""

    model: Annotated[str, Meta(min_length=1)]
    query: Annotated[str, Meta(min_length=1, max_length=TEXT_CHARS_MAX)]
    documents: Annotated[list[_Text | Document], Meta(min_length=1, max_length=DOCUMENTS_MAX)]
    top_n: Annotated[int, Meta(ge=1)] | None = None
    return_documents: bool | None = None
    user: str | None = None

    @property
    def texts(self) -> list[str]:
        """The documents' texts."""
        return [each if isinstance(each, str) else each.text for each in self.documents]


_NULL = Raw(b"null")  # `Raw | None` would take null alone


class _Result(Struct):
    index: int
    relevance_score: float


class _Tokens(Struct):
    """Cohere's tokens; without them, what it bills are searches."""

    input_tokens: Annotated[float, Meta(ge=0, le=TOKENS_MAX)] | None = None
    output_tokens: Annotated[float, Meta(ge=0, le=TOKENS_MAX)] | None = None


class _Meta(Struct):
    tokens: _Tokens | None = None
    billed_units: _Tokens | None = None


class _Usage(Struct):
    """OpenAI's names (also Jina's), and vLLM's, which says the total only."""

    prompt_tokens: Count | None = None
    total_tokens: Count | None = None


class _Reply(Struct):
    results: list[_Result] | None = None
    usage: _Usage | None = None
    meta: _Meta | None = None
    error: Raw = _NULL


_head = msgspec.json.Decoder(RerankHead)
_reply = msgspec.json.Decoder(_Reply, strict=False)


def read(body: bytes) -> RerankHead:
    """A rerank request. Raises InvalidRequest and its kinds."""
    found = fields.decode_head(_head, body, _HINTS)
    for at, text in enumerate(found.texts):
        if not text.strip():
            raise InvalidValue(
                f"`documents.{at}`: is empty. Leave it out.", param=f"documents.{at}"
            )
    return found


def head(body: bytes) -> Head:
    """The head of a rerank request. Raises InvalidRequest and its kinds."""
    found = read(body)
    return Head(model=found.model, user=found.user or "")


def native(body: bytes, head: Head, model: str, *, stream_usage: bool) -> bytes:
    """The body with the upstream's model name."""
    return fields.renamed(body, head.model, model)


def usage(body: bytes) -> Usage | None:
    """Usage in a complete answer. Raises UpstreamBadReply."""
    try:
        found = _reply.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UpstreamBadReply("The provider's answer is not what its API defines.") from None
    if bytes(found.error) != b"null":
        raise UpstreamBadReply("The provider answered 200 with an error inside.")
    if found.results is None:
        raise UpstreamBadReply("The provider's answer holds no results.")
    said, meta = found.usage, found.meta
    if said is not None:
        prompt = said.total_tokens if said.prompt_tokens is None else said.prompt_tokens
        if prompt is not None:
            return Usage(input=prompt)
    for tokens in (meta.tokens, meta.billed_units) if meta is not None else ():
        if tokens is not None and tokens.input_tokens is not None:
            return Usage(input=int(tokens.input_tokens), output=int(tokens.output_tokens or 0))
    return None


def passage(head: Head) -> Transform:
    """Rankings are not streamed."""
    _refuse()


def to_chat(body: bytes, call: Call) -> Json:
    """Rankings have no way through the hub."""
    _refuse()


def from_chat(completion: Json, call: Call, usage: Usage) -> bytes:
    """Rankings have no way through the hub."""
    _refuse()


def writer(call: Call) -> ChunkWriter:
    """Rankings are not streamed."""
    _refuse()


def _refuse() -> NoReturn:
    raise UnsupportedOperation(
        "The provider behind this model does not rerank. Choose a reranker, such as"
        " builtin/lexical, or list `rerank` in the provider's `native`.",
        param="model",
    )
