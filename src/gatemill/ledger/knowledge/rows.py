"""Stores, documents and chunks as the ledger tells them. Rule: values only; times are Unix seconds."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

KEYWORD, HYBRID = "keyword", "hybrid"
IN_PROGRESS, COMPLETED, FAILED, CANCELLED = "in_progress", "completed", "failed", "cancelled"
STATUSES = (IN_PROGRESS, COMPLETED, FAILED, CANCELLED)  # of a document, in OpenAI's words

Attributes = dict[str, str | float | bool]


class Embedder(Struct, frozen=True):
    """What made the vectors of a store."""

    model: str = ""  # "": the store is searched by words alone
    dimensions: int = 0  # 0 until the first vector
    version: str = ""  # as the embedder told it; "" where it told none


class Counts(Struct, frozen=True):
    """The documents of a store, or of a batch of files, by status."""

    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.in_progress + self.completed + self.failed + self.cancelled


class Store(Struct, frozen=True, kw_only=True):
    """A vector store."""

    id: str
    owner: str
    name: str
    description: str = ""
    mode: str  # KEYWORD or HYBRID
    embedder: Embedder = Embedder()
    generation: int = 1  # of its vectors; a new embedder's are the next one
    metadata: str = "{}"  # JSON of the caller's
    bytes: int = 0  # of text and vectors
    chunks: int = 0
    documents: Counts = Counts()
    expires_days: int | None = None  # after it was last used
    created_at: float
    active_at: float  # last used, to within a minute
    revision: int = 0  # rises with every change of what can be found

    @property
    def expires_at(self) -> float | None:
        """When it goes, unless it is used until then."""
        return None if self.expires_days is None else self.active_at + self.expires_days * 86_400.0

    @property
    def embedding_model(self) -> str:
        """The name of the embedder as a caller writes it; "" in a store without vectors."""
        return self.embedder.model


class Document(Struct, frozen=True, kw_only=True):
    """A document of a store: a file of /v1/files, or a text that was sent by itself."""

    number: int  # unique in the database
    store_id: str
    id: str  # the file's id, or what the caller calls the text; unique in its store
    title: str  # the name of the file
    attributes: str = "{}"  # JSON of the caller's
    chunking: str = "{}"  # JSON; OpenAI's chunking strategy
    status: str = IN_PROGRESS
    error_code: str = ""  # OpenAI's words: server_error, unsupported_file, invalid_file
    error_message: str = ""
    bytes: int = 0  # of text and vectors
    chunks: int = 0  # that are stored
    batch_id: str = ""  # of the files that were added together
    is_file: bool = True
    created_at: float


class Chunk(Struct, frozen=True, kw_only=True):
    """A passage of a document as it was found: text[start:end] of the document's text."""

    id: str
    document_id: str  # what OpenAI calls file_id
    title: str  # of the document
    attributes: dict[str, Any]  # of the document
    ordinal: int  # from 0
    start: int  # characters
    end: int
    text: str


class Hit(Struct, frozen=True):
    """A chunk that was found. Higher scores are better; only their order compares between databases."""

    chunk_id: str
    score: float  # keyword: BM25 or like it, above 0; dense: cosine, from -1 to 1
