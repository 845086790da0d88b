"""What is ours alone: the short inference format, health, the WebSocket's messages, and errors."""

from __future__ import annotations

from gatemill.describe.schemas.chat import MODEL
from gatemill.describe.words import (
    Json,
    array,
    asked,
    either,
    mapping,
    number,
    obj,
    or_null,
    ref,
    string,
    whole,
    word,
)

_REQUEST_ID = string("Repeated in the header x-request-id; name it when you report a fault.")
_MESSAGE = string("What is wrong and what to do.")

SCHEMAS: dict[str, Json] = {
    "InferenceRequest": {
        **asked(
            "One text for one answer. Other fields are refused.",
            {"text": string("What to answer.", least=1), "model": MODEL},
            {
                "temperature": number("Randomness.", least=0, most=2),
                "max_tokens": whole("Most tokens of the answer.", least=1),
            },
        ),
        "additionalProperties": False,
    },
    "InferenceAnswer": obj(
        "One answer.",
        {
            "result": string("The answer's text."),
            "model": string("The model that answered."),
            "tokens_used": whole("Tokens of question and answer.", least=0),
            "processing_time_ms": number(
                "From the first byte of the request to the answer.", least=0
            ),
        },
        {"model_version": string("The version that answered, where versions are compared.")},
    ),
    "Health": obj(
        "The state of this process.",
        {"status": word("Whether it is well.", "ok", "unavailable")},
        {"checks": mapping("With ?verbose: what was looked at.", {"type": "string"})},
    ),
    "SocketRequest": either(
        "A message that you send.",
        [
            ref("ChatRequest", "A chat request; `stream` is implied."),
            obj(
                "Ends the answer under way, or asks for a sign of life.",
                {"type": word("What to do.", "cancel", "ping")},
            ),
        ],
    ),
    "SocketMessage": either(
        "A message that you get.",
        [
            ref("ChatChunk", "A piece of the answer."),
            obj(
                "The answer is complete.",
                {"type": word("Kind.", "done"), "request_id": _REQUEST_ID},
            ),
            obj(
                "The request failed; the connection stays open.",
                {
                    "type": word("Kind.", "error"),
                    "error": ref("ErrorDetails"),
                    "request_id": string("Empty when no request had begun."),
                },
            ),
            obj("The answer to a cancel or a ping.", {"type": word("Kind.", "cancelled", "pong")}),
        ],
    ),
    "Error": obj(
        "A failure, in OpenAI's format.",
        {"error": ref("ErrorDetails"), "request_id": _REQUEST_ID},
    ),
    "ErrorDetails": obj(
        "What went wrong.",
        {
            "message": _MESSAGE,
            "type": string("OpenAI's class of errors."),
            "param": or_null(string("The field at fault, as a dotted path.")),
            "code": string("What to switch on; all codes are listed under Errors."),
        },
    ),
    "AnthropicError": obj(
        "A failure, in Anthropic's format.",
        {
            "type": word("Kind of this object.", "error"),
            "error": obj(
                "What went wrong.",
                {"type": string("Anthropic's class of errors."), "message": _MESSAGE},
            ),
            "request_id": _REQUEST_ID,
        },
    ),
    "Problem": obj(
        "A failure, in the format of RFC 9457.",
        {
            "type": string("urn:gatemill:error: and the code."),
            "title": string("The code in words."),
            "status": whole("The HTTP status again."),
            "detail": _MESSAGE,
            "code": string("What to switch on; all codes are listed under Errors."),
            "request_id": _REQUEST_ID,
        },
        {
            "errors": array(
                "The fields at fault.",
                obj(
                    "One field.",
                    {"field": string("A dotted path."), "detail": string("What is wrong with it.")},
                ),
            )
        },
    ),
}
