"""Schemas of recordings."""

from __future__ import annotations

from gatemill.describe.schemas.admin import listing
from gatemill.describe.words import Json, flag, number, obj, or_null, string, whole, word

_BODY = {"description": "JSON as it was; the events of a stream as text; null for none."}
_LISTED: dict[str, Json] = {
    "object": word("Kind of this object.", "recording"),
    "request_id": string("The request, as in the header x-request-id."),
    "at": number("When it came, in seconds of Unix time.", least=0),
    "key_id": string("The key that asked."),
    "operation": string("The format, such as `chat`."),
    "model": string("The model that was asked for."),
    "stream": flag("The answer is the events of a stream."),
    "status": whole("What the caller saw.", least=100),
    "error": or_null(string("The code of its failure; null when it succeeded.")),
    "cache": or_null(string("How a kept answer was given; null when a provider was asked.")),
    "bytes": whole("Size of what is kept.", least=0),
}

SCHEMAS: dict[str, Json] = {
    "Recording": obj("A recording, without its bodies.", _LISTED),
    "RecordingList": listing("Recordings.", "Recording"),
    "WholeRecording": obj(
        "A recording.",
        {
            **_LISTED,
            "body": {**_BODY, "description": "What the caller sent."},
            "filled": {
                **_BODY,
                "description": "The same with its prompt, its arm and its features; null when alike.",
            },
            "answer": _BODY,
        },
    ),
    "DeletedRecordings": obj(
        "They are gone.",
        {
            "object": word("Kind of this object.", "recordings.deleted"),
            "deleted": whole("How many.", least=0),
        },
    ),
}
