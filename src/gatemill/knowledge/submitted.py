"""What callers send with documents: attributes, chunking strategies, texts. Rule: pure; OpenAI's words and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gatemill.core.errors import InvalidValue
from gatemill.knowledge import chunking
from gatemill.ledger.knowledge.documents import NewDocument

if TYPE_CHECKING:
    from collections.abc import Sequence

PAIRS_MAX = 16  # of attributes
_TITLE_CHARS = 512

Attributes = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=64)],
        Annotated[str, Meta(max_length=512)] | float | bool,
    ],
    Meta(max_length=PAIRS_MAX),
]


class _Sizes(Struct, frozen=True, forbid_unknown_fields=True):
    max_chunk_size_tokens: int
    chunk_overlap_tokens: int


class Chunking(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How documents are cut: `auto`, or `static` with sizes."""

    type: Literal["auto", "static"]
    static: _Sizes | None = None


class Text(Struct, frozen=True, forbid_unknown_fields=True):
    """A document without a file."""

    text: Annotated[str, Meta(min_length=1)]
    id: Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[\w.:@+=~-]+$")] = ""
    title: Annotated[str, Meta(max_length=_TITLE_CHARS)] = ""
    attributes: Attributes = {}


def strategy(said: Chunking | None) -> None:
    """Raises InvalidValue for sizes that no document can be cut into."""
    if said is None:
        return
    if said.static is not None:
        chunking.static(said.static.max_chunk_size_tokens, said.static.chunk_overlap_tokens)
    elif said.type == "static":
        raise InvalidValue(
            "`chunking_strategy.static`: send max_chunk_size_tokens and chunk_overlap_tokens.",
            param="chunking_strategy.static",
        )


def packed(said: Chunking | None) -> str:
    """The strategy as it is kept: JSON in OpenAI's words."""
    return msgspec.json.encode(said or Chunking("auto")).decode()


def named(texts: Sequence[Text], prefix: str) -> list[Text]:
    """The same texts; one without an id gets `prefix` and its place."""
    return [
        one if one.id else msgspec.structs.replace(one, id=f"{prefix}{at:04x}")
        for at, one in enumerate(texts)
    ]


def documents_of(texts: Sequence[Text], how: str) -> list[NewDocument]:
    """Texts that have ids as documents of a store. Raises InvalidValue for one that stands twice."""
    ids = [one.id for one in texts]
    if len(set(ids)) < len(ids):
        raise InvalidValue("`documents`: an id stands twice. Send each once.", param="documents")
    return [
        NewDocument(
            id=one.id,
            title=one.title or one.id,
            attributes=msgspec.json.encode(one.attributes).decode(),
            chunking=how,
            is_file=False,
        )
        for one in texts
    ]
