"""OpenAI's responses. Rule: as chat; event types are named, their details are OpenAI's."""

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


def _given(name: str, schema: Json) -> Json:
    return {"required": [name], "properties": {name: schema}}


_REQUEST: Json = {
    **asked(
        "`input` is required, unless a stored response, conversation or prompt stands for it. Fields"
        " that are not listed are forwarded where the provider has this API, and refused elsewhere.",
        {"model": MODEL},
        {
            "input": either(
                "A text, or items: messages, tool calls and their results.",
                [{"type": "string"}, array("", ref("InputItem"))],
            ),
            "instructions": string("System text; not kept for the next response."),
            "stream": flag("Answer as server-sent events."),
            "max_output_tokens": whole("Most tokens of the answer, reasoning included.", least=1),
            "temperature": number("Randomness.", least=0, most=2),
            "top_p": number("Share of the most likely tokens to choose from.", least=0, most=1),
            "tools": array(
                "Tools that the model may call.", obj("A tool.", {"type": string("Its kind.")})
            ),
            "previous_response_id": string("An earlier response that the provider stored."),
            "conversation": either(
                "A conversation that the provider stored.", [{"type": "string"}, mapping("")]
            ),
            "prompt": mapping("A prompt that the provider stored."),
            "background": flag("Let the provider work on; only where it stores responses."),
            "tool_choice": either(
                "none, auto, required, or one tool.", [{"type": "string"}, mapping("")]
            ),
            "parallel_tool_calls": flag("Whether several tools may be called at once."),
            "text": mapping("`format` (text, json_object, json_schema) and `verbosity`."),
            "reasoning": mapping("`effort` and `summary`."),
            "include": array("What else to show.", {"type": "string"}),
            "store": flag("Whether the provider may keep the answer; translated ones never are."),
            "truncation": string("`disabled`, or `auto` where the provider has this API."),
            "metadata": mapping("Your own labels.", {"type": "string"}),
            "service_tier": string("auto, default, flex, priority ..."),
            "safety_identifier": string("A stable, hashed id of the end user."),
            "prompt_cache_key": string("Requests with the same key share the provider's cache."),
            "user": string("Your own id of the end user."),
        },
    ),
    "anyOf": [
        _given("input", {"type": ["string", "array"]}),
        _given("previous_response_id", {"type": "string", "minLength": 1}),
        _given("conversation", {"type": ["string", "object"]}),
        _given("prompt", {"type": "object"}),
    ],
}

SCHEMAS: dict[str, Json] = {
    "ResponseRequest": _REQUEST,
    "InputItem": asked(
        "A message (`role`, `content`), or an item of another `type`.",
        {},
        {
            "type": string("message, function_call, function_call_output, reasoning ..."),
            "role": string("user, assistant, system or developer."),
        },
    ),
    "Response": obj(
        "An answer. The other fields of the request are repeated in it.",
        {
            "id": string("Its id."),
            "object": word("Kind of this object.", "response"),
            "created_at": number("Unix time in seconds."),
            "model": string("The model that answered."),
            "output": array("Messages, tool calls and reasoning.", ref("OutputItem")),
        },
        {
            "status": word(
                "How far it is.",
                "completed",
                "incomplete",
                "in_progress",
                "queued",
                "failed",
                "cancelled",
            ),
            "error": or_null(mapping("Why it failed.")),
            "incomplete_details": or_null(mapping("Why it stopped early.")),
            "store": or_null(flag("False: asking for it later finds nothing.")),
            "usage": or_null(
                obj(
                    "Tokens used.",
                    {
                        "input_tokens": whole("Tokens read, cached ones included.", least=0),
                        "output_tokens": whole("Tokens made, reasoning included.", least=0),
                        "total_tokens": whole("Both together.", least=0),
                    },
                )
            ),
        },
    ),
    "OutputItem": obj(
        "One item of an answer.",
        {"type": string("message, function_call, reasoning ...")},
        {
            "id": or_null(string("Its id.")),
            "status": or_null(string("completed, incomplete or in_progress.")),
            "role": word("Of a message.", "assistant"),
            "content": or_null(array("Of a message: output_text and refusal parts.", mapping(""))),
            "call_id": string("Of a tool call: repeat it in the result."),
            "name": string("Of a tool call: the function."),
            "arguments": string("Of a function call: JSON in a string."),
        },
    ),
    "ResponseEvent": obj(
        "One event of a stream; the SSE `event` line repeats its type. There is no `[DONE]`:"
        " response.completed, response.incomplete or response.failed is the last.",
        {
            "type": string("response.created, response.output_text.delta, ..., or error."),
            "sequence_number": whole("Its number in the stream, from 0.", least=0),
        },
        {
            "response": ref("Response", "In the first and last events: all of it so far."),
            "item": ref("OutputItem", "The item that begins or ends."),
            "output_index": whole("The item that it belongs to.", least=0),
            "content_index": whole("The part that it belongs to.", least=0),
            "delta": string("What is new."),
        },
    ),
}
