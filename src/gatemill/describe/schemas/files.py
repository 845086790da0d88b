"""Files and batches, as OpenAI has them."""

from __future__ import annotations

from gatemill.describe.schemas.admin import listing
from gatemill.describe.words import (
    Json,
    array,
    asked,
    mapping,
    obj,
    or_null,
    string,
    whole,
    word,
)

_UNIX = "in seconds of Unix time"
_WHEN = whole(f"When, {_UNIX}.", least=0)
_ENDPOINTS = (
    *("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"),
    *("/v1/messages", "/v1/messages/count_tokens", "/api/v1/inference"),
    *("/v1/predict", "/v1/rerank", "/v1/moderations"),
)
_EXPIRY = asked(
    "When it ends.",
    {
        "anchor": word("From when.", "created_at"),
        "seconds": whole("For how long.", least=3600, most=2_592_000),
    },
)
_METADATA = mapping("Your own words about it.", {"type": "string"})


def _paged(about: str, name: str) -> Json:
    schema = listing(about, name)
    ends = {
        "first_id": or_null(string("Id of the first entry; empty when there is none.")),
        "last_id": or_null(string("Id of the last entry; empty when there is none.")),
    }
    return {**schema, "properties": {**schema["properties"], **ends}}


SCHEMAS: dict[str, Json] = {
    "FileUpload": obj(
        "A form, as browsers and SDKs send files.",
        {
            "file": {**string("The file."), "format": "binary"},
            "purpose": word(
                "What it is for.",
                "assistants",
                "batch",
                "fine-tune",
                "vision",
                "user_data",
                "evals",
            ),
        },
        {
            "expires_after[anchor]": word("From when it ends.", "created_at"),
            "expires_after[seconds]": whole("For how long it is kept.", least=3600, most=2_592_000),
        },
    ),
    "File": obj(
        "A file.",
        {
            "id": string("Its id."),
            "object": word("Kind of this object.", "file"),
            "bytes": whole("Its size.", least=0),
            "created_at": _WHEN,
            "filename": string("Its name."),
            "purpose": string("What it is for; `batch_output` for those that batches make."),
            "status": string("OpenAI's word; `processed`."),
        },
        {"expires_at": or_null(_WHEN)},
    ),
    "FileList": _paged("Files.", "File"),
    "DeletedFile": obj(
        "It is gone.",
        {
            "id": string("Its id."),
            "object": word("What it was.", "file"),
            "deleted": {"type": "boolean", "description": "Always true."},
        },
    ),
    "BatchNew": asked(
        "Many requests in a file, to be answered within a day.",
        {
            "input_file_id": string("The file, uploaded with the purpose `batch`.", least=1),
            "endpoint": word("What each line is sent to.", *_ENDPOINTS),
            "completion_window": word("Until when.", "24h"),
        },
        {"metadata": _METADATA, "output_expires_after": _EXPIRY},
    ),
    "Batch": obj(
        "A batch.",
        {
            "id": string("Its id."),
            "object": word("Kind of this object.", "batch"),
            "endpoint": string("What each line is sent to."),
            "input_file_id": string("The file."),
            "completion_window": string("Until when."),
            "status": word(
                "How far it is.",
                *("validating", "failed", "in_progress", "finalizing", "completed", "expired"),
                *("cancelling", "cancelled"),
            ),
            "created_at": _WHEN,
            "request_counts": obj(
                "Lines.",
                {name: whole("How many.", least=0) for name in ("total", "completed", "failed")},
            ),
        },
        {
            "output_file_id": or_null(string("The answers, a line each.")),
            "error_file_id": or_null(string("The lines that have none, and why.")),
            **{
                f"{name}_at": or_null(_WHEN)
                for name in (
                    *("in_progress", "expires", "finalizing", "completed", "failed", "expired"),
                    *("cancelling", "cancelled"),
                )
            },
            "errors": or_null(
                obj(
                    "Why the whole batch failed.",
                    {},
                    {"data": array("The first of them.", mapping("A line and what is wrong."))},
                )
            ),
            "usage": or_null(mapping("Tokens, as a response has them.")),
            "metadata": or_null(_METADATA),
            "cost_usd": or_null(string("Dollars so far; null while a price is unknown.")),
        },
    ),
    "BatchList": _paged("Batches.", "Batch"),
}
