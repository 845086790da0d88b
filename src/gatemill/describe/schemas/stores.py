"""Vector stores, as OpenAI has them, and what we add."""

from __future__ import annotations

from gatemill.describe.schemas.admin import listing
from gatemill.describe.words import (
    Json,
    array,
    asked,
    either,
    flag,
    mapping,
    number,
    obj,
    or_null,
    string,
    whole,
    word,
)

_WHEN = whole("When, in seconds of Unix time.", least=0)
_METADATA = mapping("Up to 16 words of your own about it.", {"type": "string"})
_VALUE = either("A value.", [string("Text."), number("A number."), flag("Yes or no.")])
_ATTRIBUTES = mapping("Up to 16 values of your own, which searches can ask for.", _VALUE)
_NAME = string("What you call it.")
_ABOUT = string("What it is for.")
_STATUS = word("How far it is.", "in_progress", "completed", "failed", "cancelled")
_FILE_IDS = array("Ids of files.", string("An id."), most=2000)
_EXPIRY = obj(
    "When it goes.",
    {
        "anchor": word("From when.", "last_active_at"),
        "days": whole("For how long.", least=1, most=365),
    },
)
_SIZES = obj(
    "Sizes of your own.",
    {
        "max_chunk_size_tokens": whole("Most of a passage, in tokens."),
        "chunk_overlap_tokens": whole(
            "What two passages share; half of a passage at most.", least=0
        ),
    },
)
_CHUNKING_ASKED = asked(
    "How documents are cut; by default into what the embedder reads, 512 tokens at most.",
    {"type": word("Ours, or sizes of your own.", "auto", "static")},
    {"static": _SIZES},
)
_CHUNKING = obj("How it was cut.", {"type": word("Always so.", "static"), "static": _SIZES})
_COUNTS = obj(
    "Documents by status.",
    {
        name: whole("How many.", least=0)
        for name in ("in_progress", "completed", "failed", "cancelled", "total")
    },
)
_FILE_WISHES = {"attributes": _ATTRIBUTES, "chunking_strategy": _CHUNKING_ASKED}


def _paged(about: str, name: str) -> Json:
    schema = listing(about, name)
    ends = {
        "first_id": string("Id of the first entry; empty when there is none."),
        "last_id": string("Id of the last entry; empty when there is none."),
    }
    return {**schema, "properties": {**schema["properties"], **ends}}


def _deleted(what: str) -> Json:
    return obj(
        "It is gone.",
        {
            "id": string("Its id."),
            "object": word("What it was.", f"{what}.deleted"),
            "deleted": {"type": "boolean", "const": True, "description": "Always so."},
        },
    )


SCHEMAS: dict[str, Json] = {
    "VectorStoreNew": asked(
        "A store as it is asked for.",
        {},
        {
            "name": _NAME,
            "description": _ABOUT,
            "file_ids": _FILE_IDS,
            "chunking_strategy": _CHUNKING_ASKED,
            "expires_after": _EXPIRY,
            "metadata": _METADATA,
            "mode": word(
                "How it is searched. `auto` is hybrid where there is an embedding model.",
                *("auto", "keyword", "hybrid"),
            ),
            "embedding_model": string(
                "Who embeds it; by default knowledge.embedding_model. It cannot be changed but by the"
                " job `documents.reembed`."
            ),
        },
    ),
    "VectorStoreChange": asked(
        "What is to be another.",
        {},
        {
            "name": _NAME,
            "description": _ABOUT,
            "expires_after": _EXPIRY,
            "metadata": _METADATA,
        },
    ),
    "VectorStore": obj(
        "A vector store.",
        {
            "id": string("Its id."),
            "object": word("The kind of object.", "vector_store"),
            "created_at": _WHEN,
            "name": _NAME,
            "description": _ABOUT,
            "usage_bytes": whole("Bytes of text and vectors.", least=0),
            "file_counts": _COUNTS,
            "status": word("How far it is.", "in_progress", "completed", "expired"),
            "last_active_at": _WHEN,
            "metadata": _METADATA,
            "mode": word("How it is searched.", "keyword", "hybrid"),
            "chunks": whole("Passages.", least=0),
        },
        {
            "expires_after": _EXPIRY,
            "expires_at": or_null(_WHEN),
            "embedding_model": or_null(string("Who embeds it; null where nobody does.")),
            "dimensions": or_null(whole("Numbers of a vector; null before the first one.")),
        },
    ),
    "VectorStoreList": _paged("Vector stores.", "VectorStore"),
    "DeletedVectorStore": _deleted("vector_store"),
    "VectorStoreDocumentsNew": asked(
        "Texts for a store.",
        {
            "documents": array(
                "The texts.",
                asked(
                    "A text.",
                    {"text": string("The text itself.", least=1)},
                    {
                        "id": string("What you call it; letters, digits and `_.:@+=~-`."),
                        "title": string("Its name for people."),
                        "attributes": _ATTRIBUTES,
                    },
                ),
                least=1,
                most=2000,
            )
        },
        {"chunking_strategy": _CHUNKING_ASKED},
    ),
    "VectorStoreDocuments": obj(
        "Texts that were added, or that a job adds.",
        {
            "object": word("The kind of object.", "vector_store.documents"),
            "vector_store_id": string("The store."),
            "added": whole("How many.", least=1),
            "ids": array("Their ids, in your order.", string("An id.")),
        },
        {"job_id": string("The job that reads them in; absent when they are there.")},
    ),
    "VectorStoreFileNew": asked(
        "A file for a store.", {"file_id": string("The file.")}, _FILE_WISHES
    ),
    "VectorStoreFileChange": obj("Other attributes.", {"attributes": or_null(_ATTRIBUTES)}),
    "VectorStoreFile": obj(
        "A file of a store.",
        {
            "id": string("The file's id, or what you called the text."),
            "object": word("The kind of object.", "vector_store.file"),
            "usage_bytes": whole("Bytes of text and vectors.", least=0),
            "created_at": _WHEN,
            "vector_store_id": string("The store."),
            "status": _STATUS,
            "last_error": or_null(
                obj(
                    "Why it failed.",
                    {
                        "code": word(
                            "What kind of failure.",
                            *("server_error", "unsupported_file", "invalid_file"),
                        ),
                        "message": string("What it is, and what to do."),
                    },
                )
            ),
            "chunking_strategy": _CHUNKING,
            "attributes": _ATTRIBUTES,
            "filename": string("Its name."),
            "chunks": whole("Passages that are stored.", least=0),
        },
    ),
    "VectorStoreFileList": _paged("Files of a store.", "VectorStoreFile"),
    "VectorStoreFileContent": obj(
        "The text of a file.",
        {
            "object": word("The kind of object.", "vector_store.file_content.page"),
            "data": array(
                "The text.",
                obj("A part.", {"type": word("Always so.", "text"), "text": string("The text.")}),
            ),
            "has_more": flag("Always false."),
            "next_page": or_null(string("Always null.")),
        },
    ),
    "DeletedVectorStoreFile": _deleted("vector_store.file"),
    "VectorStoreBatchNew": asked(
        "Files for a store: `file_ids`, or `files`.",
        {},
        {
            "file_ids": _FILE_IDS,
            "files": array(
                "Files with wishes of their own.",
                asked("A file.", {"file_id": string("The file.")}, _FILE_WISHES),
                least=1,
                most=2000,
            ),
            **_FILE_WISHES,
        },
    ),
    "VectorStoreBatch": obj(
        "Files that were added together.",
        {
            "id": string("Its id."),
            "object": word("The kind of object.", "vector_store.files_batch"),
            "created_at": _WHEN,
            "vector_store_id": string("The store."),
            "status": _STATUS,
            "file_counts": _COUNTS,
        },
    ),
}
