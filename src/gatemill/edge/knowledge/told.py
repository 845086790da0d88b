"""Stores and their files as OpenAI's API tells them, and what we add. Rule: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gatemill.ledger.knowledge.rows import IN_PROGRESS

if TYPE_CHECKING:
    from gatemill.knowledge.chunking import Strategy
    from gatemill.ledger.knowledge.documents import Batch
    from gatemill.ledger.knowledge.rows import Counts, Document, Store


def store(found: Store, now_s: float) -> dict[str, Any]:
    """A vector store."""
    expires_at = found.expires_at
    status = "in_progress" if found.documents.in_progress else "completed"
    said = {
        "id": found.id,
        "object": "vector_store",
        "created_at": int(found.created_at),
        "name": found.name,
        "description": found.description,
        "usage_bytes": found.bytes,
        "file_counts": counts(found.documents),
        "status": "expired" if expires_at is not None and expires_at <= now_s else status,
        "expires_at": None if expires_at is None else int(expires_at),
        "last_active_at": int(found.active_at),
        "metadata": msgspec.json.decode(found.metadata),
        "mode": found.mode,
        "embedding_model": found.embedding_model or None,
        "dimensions": found.embedder.dimensions or None,
        "chunks": found.chunks,
    }
    if found.expires_days is not None:
        said["expires_after"] = {"anchor": "last_active_at", "days": found.expires_days}
    return said


def file(document: Document, strategy: Strategy) -> dict[str, Any]:
    """A file of a store; a text that was sent by itself is told in the same way."""
    error = None
    if document.error_code:
        error = {"code": document.error_code, "message": document.error_message}
    return {
        "id": document.id,
        "object": "vector_store.file",
        "usage_bytes": document.bytes,
        "created_at": int(document.created_at),
        "vector_store_id": document.store_id,
        "status": document.status,
        "last_error": error,
        "chunking_strategy": {
            "type": "static",
            "static": {
                "max_chunk_size_tokens": strategy.tokens,
                "chunk_overlap_tokens": strategy.overlap,
            },
        },
        "attributes": msgspec.json.decode(document.attributes),
        "filename": document.title,
        "chunks": document.chunks,
    }


def batch(found: Batch) -> dict[str, Any]:
    """Files that were added together."""
    documents = found.documents
    status = "completed"
    if found.cancelled:
        status = "cancelled"
    elif documents.in_progress:
        status = IN_PROGRESS
    elif documents.total and documents.failed == documents.total:
        status = "failed"
    return {
        "id": found.id,
        "object": "vector_store.files_batch",
        "created_at": int(found.created_at),
        "vector_store_id": found.store_id,
        "status": status,
        "file_counts": counts(documents),
    }


def counts(documents: Counts) -> dict[str, int]:
    """Documents by status."""
    return {
        "in_progress": documents.in_progress,
        "completed": documents.completed,
        "failed": documents.failed,
        "cancelled": documents.cancelled,
        "total": documents.total,
    }
