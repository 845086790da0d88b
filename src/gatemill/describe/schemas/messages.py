"""Anthropic's messages and count_tokens. Rule: as chat."""

from __future__ import annotations

from gatemill.describe.schemas.chat import MODEL
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
    ref,
    string,
    whole,
    word,
)

_TEXT = obj("A text block.", {"type": word("Kind.", "text"), "text": string("The text.")})
_TEXTS = either("The instructions.", [{"type": "string"}, array("", _TEXT)])
_ASKED: dict[str, Json] = {
    "model": MODEL,
    "messages": array("The conversation so far.", ref("MessageTurn"), least=1),
}
_SYSTEM = either("Instructions before the conversation.", [{"type": "string"}, array("", _TEXT)])
_TOOLS = array("Tools that the model may call.", mapping("name, description, input_schema."))
_STOP_REASONS = (
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "refusal",
    "pause_turn",
    "model_context_window_exceeded",
)
_USAGE = obj(
    "Tokens, as the provider counted them, or by our estimate.",
    {
        "input_tokens": whole("Tokens read, without those of the prompt cache.", least=0),
        "output_tokens": whole("Tokens made, thinking included.", least=0),
    },
    {
        "cache_creation_input_tokens": or_null(whole("Written to the prompt cache.", least=0)),
        "cache_read_input_tokens": or_null(whole("Read from the prompt cache.", least=0)),
    },
)

SCHEMAS: dict[str, Json] = {
    "MessagesRequest": asked(
        "Fields that are not listed are forwarded to Anthropic; for models of others they are named"
        " in `x-gatemill-unsupported`, or refused if the answer would mean something else.",
        {
            **_ASKED,
            "max_tokens": whole("Most tokens of the answer, thinking included.", least=0),
        },
        {
            "system": _SYSTEM,
            "stream": flag("Answer as server-sent events."),
            "stop_sequences": array("Texts at which the answer ends.", {"type": "string"}),
            "temperature": number("Randomness.", least=0, most=1),
            "top_p": number("Share of the most likely tokens to choose from.", least=0, most=1),
            "top_k": whole("Choose among this many tokens.", least=0),
            "tools": _TOOLS,
            "tool_choice": obj(
                "Whether to call a tool.", {"type": string("auto, any, tool or none.")}
            ),
            "thinking": obj(
                "Whether to think first.", {"type": string("enabled, adaptive or disabled.")}
            ),
            "metadata": asked(
                "About the request.", {}, {"user_id": string("Your own id of the end user.")}
            ),
            "output_config": mapping("`effort`, and `format` with a JSON schema."),
        },
    ),
    "CountRequest": asked(
        "A message request whose prompt is counted.",
        _ASKED,
        {"system": _SYSTEM, "tools": _TOOLS},
    ),
    "MessageTurn": either(
        "One turn of a conversation.",
        [
            obj(
                "What was said.",
                {
                    "role": word("Who speaks.", "user", "assistant"),
                    "content": either(
                        "A text, or blocks: text, image, document, tool_use, tool_result, thinking.",
                        [{"type": "string"}, array("", ref("ContentBlock"))],
                    ),
                },
            ),
            obj(
                "Instructions in mid-conversation.",
                {"role": word("Who speaks.", "system"), "content": _TEXTS},
            ),
        ],
    ),
    "ContentBlock": obj(
        "One block of a content.",
        {"type": string("text, image, document, tool_use, tool_result, thinking ...")},
    ),
    "Message": obj(
        "A complete answer.",
        {
            "id": string("Its id."),
            "type": word("Kind of this object.", "message"),
            "role": word("Who speaks.", "assistant"),
            "model": string("The model that answered."),
            "content": array("Text, thinking and tool_use blocks.", ref("ContentBlock")),
            "stop_reason": or_null(word("Why it ended; null at a stream's start.", *_STOP_REASONS)),
            "usage": _USAGE,
        },
        {"stop_sequence": or_null(string("The stop sequence that was met."))},
    ),
    "MessageEvent": obj(
        "One event of a stream; the SSE `event` line repeats its type. `message_stop` is the last.",
        {
            "type": word(
                "What happened.",
                "message_start",
                "content_block_start",
                "content_block_delta",
                "content_block_stop",
                "message_delta",
                "message_stop",
                "ping",
                "error",
            )
        },
        {
            "message": ref("Message", "In message_start: the message without content."),
            "index": whole("The block that it belongs to.", least=0),
            "content_block": ref("ContentBlock", "The block that begins."),
            "delta": mapping("What is new: text_delta, input_json_delta, thinking_delta ..."),
            "usage": mapping("In message_delta: the tokens used."),
        },
    ),
    "TokenCount": obj(
        "How large a prompt is.",
        {"input_tokens": whole("Tokens; an estimate where the provider cannot count.", least=0)},
    ),
    "AnthropicModelList": obj(
        "The models that your key may call, when `anthropic-version` is sent.",
        {
            "data": array("Sorted by name.", ref("AnthropicModel")),
            "has_more": flag("Always false: all are listed."),
            "first_id": or_null(string("The first name.")),
            "last_id": or_null(string("The last name.")),
        },
    ),
    "AnthropicModel": obj(
        "One model.",
        {
            "type": word("Kind of this object.", "model"),
            "id": string("The name to send as `model`."),
            "display_name": string("The same."),
            "created_at": string("RFC 3339 time; 1970 when nobody said."),
        },
    ),
}
