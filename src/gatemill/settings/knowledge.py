"""Options of knowledge. Rule: values only."""

from __future__ import annotations

from pydantic import Field

from gatemill.settings.section import Count, Seconds, Section


class Knowledge(Section):
    """Vector stores, what is read into them, and answers from them."""

    embedding_model: str = Field(
        "",
        description="Embedding model of stores whose maker names none; empty: such stores are searched by words alone.",
    )
    answer_model: str = Field(
        "builtin/extract",
        description="Model that answers `/v1/rag/query` where the caller names none.",
    )
    context_tokens: Count = Field(
        4000, description="Tokens of passages that one answer is made from."
    )
    stores_max: Count = Field(1_000, description="Most vector stores of one team, user or key.")
    bytes_max_per_owner: Count = Field(
        10_737_418_240, description="Bytes of text and vectors in all stores of one owner."
    )
    documents_max: Count = Field(100_000, description="Most documents of one store.")
    chunks_max: Count = Field(1_000_000, description="Most passages of one store.")
    document_chunks_max: Count = Field(50_000, description="Most passages of one document.")
    inline_bytes: Count = Field(
        65_536,
        description="Bytes up to which documents are read in while the request waits; more become a job.",
    )
    vectors_bytes: Count = Field(
        268_435_456,
        description="Memory for vectors of the stores searched last, where the database cannot search them.",
    )
    file_bytes: Count = Field(67_108_864, description="Largest file that is read in.")
    text_bytes: Count = Field(20_971_520, description="Longest text of one document.")
    pdf_pages: Count = Field(2_000, description="Most pages of a PDF.")
    extract_timeout_s: Seconds = Field(60.0, description="Time to get the text out of one file.")
    extract_bytes: Count = Field(
        1_073_741_824,
        description="Memory of the process that gets the text out of a file.",
    )
