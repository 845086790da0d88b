"""A provider that needs no key and no network: it says back what it was told.

Rule: speaks OpenAI's format on /chat/completions and /embeddings, and answers the same body with
the same bytes, but for `created`. Nothing here has meaning; it is for trying out and for tests.
Every answer is bounded: EVENTS_MAX pieces, ANSWER_BYTES_MAX bytes, VECTOR_NUMBERS_MAX numbers.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
import struct
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from gatemill.core.call import Usage
from gatemill.core.errors import GatemillError, InvalidValue, NotFound
from gatemill.core.ports import Incoming
from gatemill.policy import tokens
from gatemill.wire import fields, sse

if TYPE_CHECKING:
    from gatemill.core.ports import Json, Outgoing

EVENTS_MAX = 65_536  # pieces of one answer, all choices together; beyond it the answer is cut
ANSWER_BYTES_MAX = 16 << 20  # text of one answer, all choices together; beyond it it is refused
VECTOR_NUMBERS_MAX = 1 << 19  # numbers in one embeddings answer; about 0.2 s of work
DIMENSIONS_DEFAULT = 256
NOTHING_SAID = "(empty)"

# Words keep the white space that follows, so the pieces joined are the text.
_PIECE = re.compile(r"\S+\s*|\s+")


class _Part(Struct):
    text: str | None = None


class _Message(Struct):
    role: str
    content: str | list[_Part] | None = None


class _Function(Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Tool(Struct):
    type: str
    function: _Function | None = None


class _Allowed(Struct):
    mode: str
    tools: list[_Tool]


class _Choice(Struct):
    type: str
    function: _Function | None = None
    allowed_tools: _Allowed | None = None


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _Chat(Struct):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    stop: str | list[str] | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _Choice | None = None


class _Embeddings(Struct):
    model: str
    input: str | list[str | int | list[int]]
    dimensions: Annotated[int, Meta(ge=1, le=4096)] | None = None
    encoding_format: Literal["float", "base64"] | None = None


class _Answer(NamedTuple):
    """What each choice says."""

    pieces: tuple[str, ...]  # of the text, or of the tool call's arguments
    finish: str  # the finish_reason
    tool: str | None  # name of the function called


class _Frame(NamedTuple):
    """What all chunks of an answer share."""

    digest: str  # hex SHA-256 of the request
    created: int  # Unix seconds
    model: str
    choices: int


_decode_chat = msgspec.json.Decoder(_Chat)
_decode_embeddings = msgspec.json.Decoder(_Embeddings)


def respond(out: Outgoing, now_s: float) -> Incoming | tuple[bytes, ...]:
    """The answer to `out` at Unix time `now_s`: complete, or the events of a stream.

    A request that cannot be answered gets OpenAI's error object, never an exception.
    """
    try:
        path = out.path.partition("?")[0]
        if path == "/chat/completions":
            return _chat(out.body, now_s)
        if path == "/embeddings":
            return _complete(_embeddings(out.body))
        raise NotFound("The echo provider has /chat/completions and /embeddings. Use one of them.")
    except GatemillError as error:
        return _refusal(error)


def _chat(body: bytes, now_s: float) -> Incoming | tuple[bytes, ...]:
    asked = fields.decode_head(_decode_chat, body)
    frame = _Frame(hashlib.sha256(body).hexdigest(), int(now_s), asked.model, asked.n or 1)
    answer = _answer(asked)
    text_bytes = sum(len(piece.encode()) for piece in answer.pieces)
    if text_bytes * frame.choices > ANSWER_BYTES_MAX:
        raise InvalidValue("The answer would exceed 16 MiB. Lower `n` or send less.", param="n")
    used = Usage(
        input=tokens.estimate_prompt(fields.read_object(body)),
        output=tokens.estimate(text_bytes) * frame.choices,
    )
    if asked.stream:
        options = asked.stream_options
        wanted = options is not None and bool(options.include_usage)
        return _events(answer, frame, used if wanted else None)
    return _complete(_completion(answer, frame, used))


def _answer(asked: _Chat) -> _Answer:
    text = _last_user_text(asked.messages)
    function = _called(asked)
    if function is not None:
        text = fields.encode(_arguments(function, text)).decode()
    else:
        text = _until_stop(text, asked.stop)
    pieces = _PIECE.findall(text)
    limit = min(
        asked.max_completion_tokens or asked.max_tokens or EVENTS_MAX,
        EVENTS_MAX // (asked.n or 1),
    )
    finish = "stop" if function is None else "tool_calls"
    if len(pieces) > limit:
        finish = "length"
    return _Answer(tuple(pieces[:limit]), finish, function.name if function else None)


def _last_user_text(messages: list[_Message]) -> str:
    for message in reversed(messages):
        if message.role != "user":
            continue
        if isinstance(message.content, list):
            return "".join(part.text or "" for part in message.content) or NOTHING_SAID
        return message.content or NOTHING_SAID
    return NOTHING_SAID


def _until_stop(text: str, stop: str | list[str] | None) -> str:
    marks = [stop] if isinstance(stop, str) else stop or []
    cuts = [at for mark in marks if mark and (at := text.find(mark)) >= 0]
    return text[: min(cuts)] if cuts else text


def _called(asked: _Chat) -> _Function | None:
    """The function that tool_choice demands; None when it demands none."""
    choice = asked.tool_choice
    functions = [tool.function for tool in asked.tools or () if tool.function]
    if isinstance(choice, str):
        if choice != "required":
            return None
        wanted = {function.name for function in functions}
    elif choice is None or (choice.allowed_tools and choice.allowed_tools.mode != "required"):
        return None
    else:
        listed = choice.allowed_tools.tools if choice.allowed_tools else ()
        named = [choice.function, *(tool.function for tool in listed)]
        wanted = {function.name for function in named if function}
    for function in functions:
        if function.name in wanted:
            return function
    raise InvalidValue(
        "`tool_choice` demands a function that `tools` does not define. Add it to `tools`.",
        param="tool_choice",
    )


def _arguments(function: _Function, text: str) -> Json:
    """The text as the first string property of the function's schema; {} when it has none."""
    properties = (function.parameters or {}).get("properties")
    if isinstance(properties, dict):
        for name, schema in properties.items():
            if isinstance(schema, dict) and schema.get("type") == "string":
                return {name: text}
    return {}


def _completion(answer: _Answer, frame: _Frame, used: Usage) -> Json:
    said = "".join(answer.pieces)
    choices = []
    for index in range(frame.choices):
        message: Json = {"role": "assistant", "content": said, "refusal": None}
        if answer.tool is not None:
            message["content"] = None
            message["tool_calls"] = [_tool_call(answer.tool, said, frame, index)]
        choices.append(
            {"index": index, "message": message, "logprobs": None, "finish_reason": answer.finish}
        )
    return {
        "id": f"chatcmpl-{frame.digest[:24]}",
        "object": "chat.completion",
        "created": frame.created,
        "model": frame.model,
        "choices": choices,
        "usage": fields.openai_usage(used),
    }


def _tool_call(name: str, arguments: str, frame: _Frame, index: int) -> Json:
    return {
        "id": f"call_{frame.digest[:20]}{index:03d}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def _events(answer: _Answer, frame: _Frame, used: Usage | None) -> tuple[bytes, ...]:
    """A stream's events; with the usage chunk unless `used` is None."""
    head: Json = {
        "id": f"chatcmpl-{frame.digest[:24]}",
        "object": "chat.completion.chunk",
        "created": frame.created,
        "model": frame.model,
    }
    nulls: Json = {} if used is None else {"usage": None}

    def chunk(index: int, delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse.event(fields.encode({**head, "choices": [choice], **nulls}))

    every = range(frame.choices)
    out = [chunk(index, _opening(answer, frame, index)) for index in every]
    for piece in answer.pieces:
        delta = _delta(answer, piece)
        out += [chunk(index, delta) for index in every]
    out += [chunk(index, {}, answer.finish) for index in every]
    if used is not None:
        last = {**head, "choices": [], "usage": fields.openai_usage(used)}
        out.append(sse.event(fields.encode(last)))
    return (*out, sse.DONE)


def _opening(answer: _Answer, frame: _Frame, index: int) -> Json:
    if answer.tool is None:
        return {"role": "assistant", "content": "", "refusal": None}
    call = {"index": 0, **_tool_call(answer.tool, "", frame, index)}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _delta(answer: _Answer, piece: str) -> Json:
    if answer.tool is None:
        return {"content": piece}
    return {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def _embeddings(body: bytes) -> Json:
    asked = fields.decode_head(_decode_embeddings, body)
    inputs = _inputs(asked.input)
    dimensions = asked.dimensions or DIMENSIONS_DEFAULT
    if len(inputs) * dimensions > VECTOR_NUMBERS_MAX:
        raise InvalidValue(
            f"`input` times `dimensions` may be {VECTOR_NUMBERS_MAX} numbers here. Send less.",
            param="input",
        )
    data = []
    for index, given in enumerate(inputs):
        vector = _vector(given, dimensions)
        if asked.encoding_format == "base64":
            shown: Any = base64.b64encode(vector).decode()
        else:
            shown = struct.unpack(f"<{dimensions}f", vector)
        data.append({"object": "embedding", "index": index, "embedding": shown})
    count = sum(map(_input_tokens, inputs))
    return {
        "object": "list",
        "data": data,
        "model": asked.model,
        "usage": {"prompt_tokens": count, "total_tokens": count},
    }


def _inputs(given: str | list[str | int | list[int]]) -> list[str | list[int]]:
    """One entry per vector asked for."""
    if isinstance(given, str):
        return [given]
    numbers = [item for item in given if isinstance(item, int)]
    if not numbers:
        return [item for item in given if not isinstance(item, int)]
    if len(numbers) < len(given):
        raise InvalidValue("`input`: do not mix strings and tokens.", param="input")
    return [numbers]


def _input_tokens(given: str | list[int]) -> int:
    return tokens.estimate(len(given.encode())) if isinstance(given, str) else len(given)


def _vector(given: str | list[int], dimensions: int) -> bytes:
    """A unit vector made of SHA-256 in counter mode, float32, little-endian.

    Equal inputs have equal vectors; it carries no meaning, so near texts are not near here.
    """
    seed = hashlib.sha256(fields.encode(given)).digest()
    blocks = -(-dimensions // 8)  # eight 32-bit numbers a digest
    stream = b"".join(hashlib.sha256(seed + i.to_bytes(4)).digest() for i in range(blocks))
    drawn = struct.unpack_from(f"<{dimensions}i", stream)
    length = math.sqrt(sum(number * number for number in drawn)) or 1.0
    return struct.pack(f"<{dimensions}f", *(number / length for number in drawn))


def _complete(answer: Json) -> Incoming:
    return Incoming(200, {"content-type": "application/json"}, fields.encode(answer))


def _refusal(error: GatemillError) -> Incoming:
    told = {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }
    headers = {"content-type": "application/json"}
    return Incoming(error.status, headers, fields.encode({"error": told}))
