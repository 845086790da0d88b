"""The smallest way to ask: POST /api/v1/inference, one text in, one text out.

Rule: only through the hub; what this format does not have is refused with the way to get it.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import msgspec
from msgspec import Meta, Struct

from gatemill.core.call import Head
from gatemill.core.errors import UnsupportedOperation, UnsupportedParameter, UpstreamBadReply
from gatemill.wire import fields

if TYPE_CHECKING:
    from gatemill.core.call import Call, Usage
    from gatemill.core.ports import ChunkWriter, Json, Transform

NAME = "inference"
FAMILY = "problem"

_HINTS = {
    "text": "Send the text to answer, at least one character.",
    "model": "GET /v1/models lists the names.",
    "temperature": "Send a number from 0 to 2.",
    "max_tokens": "Send a whole number from 1.",
}


class _InferenceHead(Struct):
    text: Annotated[str, Meta(min_length=1)]
    model: Annotated[str, Meta(min_length=1)]
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None


class _Message(Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(Struct):
    message: _Message
    finish_reason: str | None = None


class _Completion(Struct):
    choices: Annotated[list[_Choice], Meta(min_length=1)]
    model: str | None = None


_head = msgspec.json.Decoder(_InferenceHead)
_names = msgspec.json.Decoder(dict[str, msgspec.Raw])
_KNOWN = _InferenceHead.__struct_fields__


def head(body: bytes) -> Head:
    """The head of an inference request. Raises InvalidRequest and its kinds."""
    for name in fields.decode_head(_names, body):
        if name not in _KNOWN:
            _refuse_field(name)
    read = fields.decode_head(_head, body, _HINTS)
    return Head(model=read.model, output_max=read.max_tokens)


def _refuse_field(name: str) -> NoReturn:
    shown = name[:60]
    if name == "stream":
        remedy = "Streams are at /v1/chat/completions."
    elif near := difflib.get_close_matches(name, _KNOWN, n=1):
        remedy = f"Did you mean `{near[0]}`?"
    else:
        remedy = "Use text, model, temperature and max_tokens, or /v1/chat/completions."
    raise UnsupportedParameter(f"`{shown}`: is not a field of this format. {remedy}", param=shown)


def to_chat(body: bytes, call: Call) -> Json:
    """The hub's request."""
    read = _head.decode(body)
    chat: Json = {
        "model": read.model,
        "messages": [{"role": "user", "content": read.text}],
    }
    optional: dict[str, Any] = {
        "temperature": read.temperature,
        "max_completion_tokens": read.max_tokens,
    }
    return chat | {name: value for name, value in optional.items() if value is not None}


def from_chat(completion: Json, call: Call, usage: Usage) -> bytes:
    """The answer; the time is from the request's first byte to the end of the last attempt.

    `model_version` is the arm of an experiment, and absent where there is none. Raises UpstreamBadReply.
    """
    try:
        read = msgspec.convert(completion, _Completion)
    except msgspec.ValidationError:
        raise UpstreamBadReply("The provider's answer is not what its API defines.") from None
    said = read.choices[0].message
    call.finish = "" if said.refusal else read.choices[0].finish_reason or ""
    elapsed_s = call.attempts[-1].ended_s - call.started_s
    answer: Json = {
        "result": said.content or said.refusal or "",
        "model": read.model or call.head.model,
        "tokens_used": usage.prompt + usage.completion,
        "processing_time_ms": round(elapsed_s * 1000, 3),
    }
    if call.version:
        answer["model_version"] = call.version
    return fields.encode(answer)


def native(body: bytes, head: Head, model: str, *, stream_usage: bool) -> bytes:
    """No upstream speaks this format."""
    _refuse()


def usage(body: bytes) -> Usage | None:
    """No upstream speaks this format."""
    _refuse()


def passage(head: Head) -> Transform:
    """No upstream speaks this format."""
    _refuse()


def writer(call: Call) -> ChunkWriter:
    """This format has no streams."""
    _refuse()


def _refuse() -> NoReturn:
    raise UnsupportedOperation(
        "Inference requests always go through translation. Use /v1/chat/completions for the rest."
    )
