"""OpenAI's chat, completions, embeddings and models, as far as the gateway or most callers read them.

Rule: a request schema allows what the surface's `head` allows; a test asks both.
"""

from __future__ import annotations

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

MODEL = string("Name from GET /v1/models, or `provider/model`.", least=1)
_STREAM = flag("Answer as server-sent events.")
_USER = string("Your own id of the end user.")
_PART = obj("One part of a content.", {"type": string("text, image_url, input_audio, file ...")})
_STOP = either(
    "Texts at which the answer ends.", [{"type": "string"}, array("", {"type": "string"})]
)
_TOKENS = array("", {"type": "integer"}, least=1)
_FINISH = ("stop", "length", "tool_calls", "content_filter", "function_call")


def _content(about: str) -> Json:
    return either(about, [{"type": "string"}, array("", ref("ContentPart"))])


_MESSAGES: dict[str, Json] = {
    "SystemMessage": asked(
        "Instructions. `developer` is the newer name of `system`.",
        {
            "role": word("Who speaks.", "system", "developer"),
            "content": _content("The instructions."),
        },
    ),
    "UserMessage": asked(
        "What the user says.",
        {"role": word("Who speaks.", "user"), "content": _content("Text, images, audio, files.")},
    ),
    "AssistantMessage": asked(
        "What the model said before.",
        {"role": word("Who speaks.", "assistant")},
        {
            "content": _content("The text; may be absent beside tool calls."),
            "tool_calls": array("Calls the model made.", ref("ToolCall")),
        },
    ),
    "ToolMessage": asked(
        "What a tool answered.",
        {
            "role": word("Who speaks.", "tool"),
            "content": _content("The tool's result."),
            "tool_call_id": string("The id of the call that this answers."),
        },
    ),
    "FunctionMessage": asked(
        "What a function answered, in the form before tools.",
        {"role": word("Who speaks.", "function"), "name": string("The function's name.")},
        {"content": string("The function's result.")},
    ),
    "ChatMessage": either(
        "One turn of a conversation; `role` says which.",
        [
            ref("SystemMessage"),
            ref("UserMessage"),
            ref("AssistantMessage"),
            ref("ToolMessage"),
            ref("FunctionMessage"),
        ],
    ),
}

# Ours: no provider sees them.
_PROMPTED: dict[str, Json] = {
    "prompt_id": {
        **string("A prompt of the registry, whose messages go first: `greet`, `greet@production`."),
        "minLength": 1,
        "maxLength": 300,
    },
    "prompt_variables": mapping("Values of its variables, by name."),
    "entities": {
        **mapping(
            'Whose features are used, by kind: `{"user": "u1"}`.',
            {"type": "string", "maxLength": 200},
        ),
        "maxProperties": 8,
    },
}
_CHAT_REQUEST = asked(
    "Fields that are not listed are forwarded where the provider speaks this format; elsewhere they"
    " are named in `x-gatemill-unsupported`, or refused if the answer would mean something else.",
    {
        "model": MODEL,
        "messages": array(
            "The conversation so far; with `prompt_id` it may be empty, or absent.",
            ref("ChatMessage"),
            least=1,
        ),
    },
    {
        **_PROMPTED,
        "stream": _STREAM,
        "stream_options": ref("StreamOptions", "Details of the stream."),
        "max_completion_tokens": whole("Most tokens of the answer, reasoning included.", least=1),
        "max_tokens": whole("The old name of max_completion_tokens.", least=1),
        "n": whole("Answers to make.", least=1, most=128),
        "temperature": number("Randomness.", least=0, most=2),
        "top_p": number("Share of the most likely tokens to choose from.", least=0, most=1),
        "stop": _STOP,
        "tools": array("Functions that the model may call.", ref("ToolDefinition")),
        "tool_choice": either(
            "none, auto, required, or one function.", [{"type": "string"}, mapping("")]
        ),
        "parallel_tool_calls": flag("Whether several tools may be called at once."),
        "response_format": mapping("`text`, `json_object`, or `json_schema` with a schema."),
        "reasoning_effort": string("How much to think: none, minimal, low, medium, high ..."),
        "verbosity": string("low, medium or high."),
        "seed": whole("Asks for the same answer to the same request."),
        "frequency_penalty": number("Against repeated words, -2 to 2."),
        "presence_penalty": number("Against repeated topics, -2 to 2."),
        "logit_bias": mapping("Token id to bias, -100 to 100.", {"type": "number"}),
        "logprobs": flag("Say how likely each token was."),
        "top_logprobs": whole("How many alternatives to say for each token."),
        "modalities": array("text, audio.", {"type": "string"}),
        "service_tier": string("auto, default, flex, priority ..."),
        "store": flag("Whether the provider may keep the answer."),
        "metadata": mapping("Your own labels.", {"type": "string"}),
        "safety_identifier": string("A stable, hashed id of the end user."),
        "prompt_cache_key": string("Requests with the same key share the provider's cache."),
        "user": _USER,
    },
)

_TOOLS: dict[str, Json] = {
    "ToolDefinition": obj(
        "A tool that the model may call.",
        {"type": string("`function` for your own.")},
        {"function": ref("FunctionDefinition", "The function, for type `function`.")},
    ),
    "FunctionDefinition": obj(
        "A function and its parameters.",
        {"name": string("Its name.")},
        {
            "description": string("When and how to call it."),
            "parameters": mapping("JSON Schema of the arguments."),
            "strict": or_null(flag("Whether arguments must follow the schema.")),
        },
    ),
    "ToolCall": obj(
        "A call that the model makes.",
        {
            "id": string("Repeated in the tool message."),
            "type": word("Kind.", "function"),
            "function": obj(
                "What is called.",
                {
                    "name": string("The function."),
                    "arguments": string("JSON in a string; check it."),
                },
            ),
        },
    ),
}


def _usage(prompt: str, completion: str) -> Json:
    return obj(
        "Tokens, as the provider counted them, or by our estimate (`x-gatemill-usage`).",
        {
            "prompt_tokens": whole(prompt, least=0),
            "total_tokens": whole("Both together.", least=0),
        },
        {
            "completion_tokens": whole(completion, least=0),
            "prompt_tokens_details": or_null(
                mapping("Of the prompt: cached_tokens, cache_write_tokens, audio_tokens.")
            ),
            "completion_tokens_details": or_null(
                mapping("Of the answer: reasoning_tokens, audio_tokens.")
            ),
        },
    )


def _frame(kind: str, choice: str) -> dict[str, Json]:
    return {
        "id": string("Id of the answer; the same in all its chunks."),
        "object": word("Kind of this object.", kind),
        "created": whole("Unix time in seconds."),
        "model": string("The model that answered, in the provider's words."),
        "choices": array("The answers.", ref(choice)),
    }


_ANSWERS: dict[str, Json] = {
    "ChatCompletion": obj(
        "A complete answer.",
        _frame("chat.completion", "ChatChoice"),
        {
            "usage": ref("Usage", "Tokens used."),
            "service_tier": or_null(string("The tier that was used.")),
            "system_fingerprint": or_null(string("The provider's configuration.")),
        },
    ),
    "ChatChoice": obj(
        "One answer.",
        {
            "index": whole("Its number, from 0."),
            "message": obj(
                "What the model says.",
                {
                    "role": word("Who speaks.", "assistant"),
                    "content": or_null(string("The text; null when only tools are called.")),
                },
                {
                    "refusal": or_null(string("Why the model declines.")),
                    "tool_calls": array("Calls for you to run.", ref("ToolCall")),
                    "reasoning_content": string("The model's thoughts, where it shows them."),
                },
            ),
            "finish_reason": word("Why it ended.", *_FINISH),
        },
        {"logprobs": or_null(mapping("How likely each token was."))},
    ),
    "ChatChunk": obj(
        "One event of a stream. `[DONE]` follows the last one.",
        _frame("chat.completion.chunk", "ChatChunkChoice"),
        {"usage": or_null(ref("Usage", "In the last chunk, if include_usage asked for it."))},
    ),
    "ChatChunkChoice": obj(
        "A piece of one answer.",
        {
            "index": whole("The answer that it belongs to."),
            "delta": mapping("role, content, tool_calls, reasoning_content: what is new."),
            "finish_reason": or_null(word("Why it ended; null before.", *_FINISH)),
        },
        {"logprobs": or_null(mapping("How likely each token was."))},
    ),
    "Usage": _usage("Tokens read, cached ones included.", "Tokens made, reasoning included."),
}

_COMPLETIONS: dict[str, Json] = {
    "CompletionRequest": asked(
        "The API before chat. Chat models are asked with the prompt as one user message.",
        {
            "model": MODEL,
            "prompt": either(
                "The text to go on from; or several, or token ids.",
                [
                    {"type": "string"},
                    array("Several prompts.", {"type": "string"}, least=1),
                    array("Token ids of one prompt.", {"type": "integer"}, least=1),
                    array("Token ids of several prompts.", _TOKENS, least=1),
                ],
            ),
        },
        {
            "stream": _STREAM,
            "stream_options": ref("StreamOptions", "Details of the stream."),
            "max_tokens": whole("Most tokens of the answer; 16 by default.", least=0),
            "n": whole("Answers for each prompt.", least=1, most=128),
            "best_of": whole("Answers to choose the best of.", least=0, most=20),
            "temperature": number("Randomness.", least=0, most=2),
            "top_p": number("Share of the most likely tokens to choose from.", least=0, most=1),
            "stop": _STOP,
            "seed": whole("Asks for the same answer to the same request."),
            "user": _USER,
            "safety_identifier": string("A stable, hashed id of the end user."),
        },
    ),
    "Completion": obj(
        "An answer, or one event of its stream.",
        _frame("text_completion", "CompletionChoice"),
        {"usage": or_null(ref("Usage", "Tokens used."))},
    ),
    "CompletionChoice": obj(
        "One answer, or a piece of it.",
        {
            "index": whole("Its number, from 0."),
            "text": string("The text."),
            "finish_reason": or_null(word("Why it ended.", "stop", "length", "content_filter")),
        },
        {"logprobs": or_null(mapping("How likely each token was."))},
    ),
}

_EMBEDDINGS: dict[str, Json] = {
    "EmbeddingRequest": asked(
        "Texts to turn into vectors.",
        {
            "model": MODEL,
            "input": either(
                "One text, up to 2048 texts, or token ids.",
                [
                    {"type": "string", "minLength": 1},
                    array("Several texts.", string("A text.", least=1), least=1, most=2048),
                    array("Token ids of one text.", {"type": "integer"}, least=1, most=2048),
                    array("Token ids of several texts.", _TOKENS, least=1, most=2048),
                ],
            ),
        },
        {
            "encoding_format": word("How vectors are written.", "float", "base64"),
            "dimensions": whole("Length of the vectors, where the model can choose.", least=1),
            "truncate": flag("Whether models that run here may cut texts that are too long."),
            "user": _USER,
            "safety_identifier": string("A stable, hashed id of the end user."),
        },
    ),
    "EmbeddingList": obj(
        "One vector for each text, in the same order.",
        {
            "object": word("Kind of this object.", "list"),
            "data": array("The vectors.", ref("Embedding")),
            "model": string("The model that answered."),
        },
        {"usage": ref("Usage", "Tokens used.")},
    ),
    "Embedding": obj(
        "One vector.",
        {
            "object": word("Kind of this object.", "embedding"),
            "index": whole("The text that it belongs to, from 0."),
            "embedding": either(
                "Numbers, or base64 of little-endian float32.",
                [array("", {"type": "number"}), {"type": "string"}],
            ),
        },
    ),
}

_MODELS: dict[str, Json] = {
    "ModelList": obj(
        "The models that your key may call.",
        {
            "object": word("Kind of this object.", "list"),
            "data": array("Sorted by name.", ref("Model")),
        },
    ),
    "Model": obj(
        "One model.",
        {
            "id": string("The name to send as `model`."),
            "object": word("Kind of this object.", "model"),
            "created": whole("Unix time in seconds; 0 when nobody said."),
            "owned_by": string("The providers behind it."),
        },
        {"card": ref("ModelCard", "Of a built-in model; GET /v1/models/{name} shows it.")},
    ),
}

SCHEMAS: dict[str, Json] = {
    "ChatRequest": _CHAT_REQUEST,
    **_MESSAGES,
    "ContentPart": _PART,
    "StreamOptions": asked(
        "Details of a stream.",
        {},
        {"include_usage": flag("Send the token counts in a chunk of their own, before the end.")},
    ),
    **_TOOLS,
    **_ANSWERS,
    **_COMPLETIONS,
    **_EMBEDDINGS,
    **_MODELS,
}
