"""Classification: POST /v1/predict, texts in, labels with their confidence out.

Rule: ours, and strict: an unknown field is refused. A text that is too long is refused, or cut where
that was asked for, and then the answer says so.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import msgspec
from msgspec import Meta, Raw, Struct

from gatemill.core.call import Head, Usage
from gatemill.core.errors import (
    InvalidValue,
    UnsupportedOperation,
    UnsupportedParameter,
    UpstreamBadReply,
)
from gatemill.wire import fields
from gatemill.wire.fields import Entities, OpenAIUsage

if TYPE_CHECKING:
    from gatemill.core.call import Call
    from gatemill.core.ports import ChunkWriter, Json, Transform

NAME = "predict"
FAMILY = "openai"

TEXTS_MAX = 256  # in one request
TEXT_CHARS_MAX = 20_000  # of each; with `truncate`, what a model gets to see of it
LABELS_MAX = 1000  # that one may ask for
_HINTS = {
    "input": f"Send a text, or an array of 1 to {TEXTS_MAX} of them, none empty.",
    "model": "GET /v1/models lists the names.",
    "top_k": f"Send a whole number from 1 to {LABELS_MAX}.",
    "truncate": "Send true to have long texts cut, or leave it out.",
    "entities": 'Send at most 8 of them, such as {"user": "u1"}.',
    "features": 'Send values by name, such as {"user.tier": "gold"}.',
}


class _PredictHead(Struct):
    model: Annotated[str, Meta(min_length=1)]
    input: str | Annotated[list[str], Meta(min_length=1, max_length=TEXTS_MAX)]
    top_k: Annotated[int, Meta(ge=1, le=LABELS_MAX)] | None = None
    truncate: bool | None = None
    entities: Entities | None = None
    features: Annotated[dict[str, Any], Meta(max_length=256)] | None = None
    user: str | None = None


_NULL = Raw(b"null")  # `Raw | None` would take null alone


class _Prediction(Struct):
    label: str
    confidence: float


class _Reply(Struct):
    predictions: Annotated[list[_Prediction], Meta(min_length=1)] | None = None
    usage: OpenAIUsage | None = None
    version: str | int | None = None
    error: Raw = _NULL


_head = msgspec.json.Decoder(_PredictHead)
_names = msgspec.json.Decoder(dict[str, Raw])
_reply = msgspec.json.Decoder(_Reply)
_predictions = msgspec.json.Decoder(list[dict[str, Any]])
_KNOWN = _PredictHead.__struct_fields__


def head(body: bytes) -> Head:
    """The head of a predict request. Raises InvalidRequest and its kinds."""
    for name in fields.decode_head(_names, body):
        if name not in _KNOWN:
            _refuse_field(name)
    read = fields.decode_head(_head, body, _HINTS)
    for at, text in enumerate(_texts(read)):
        param = f"input.{at}" if isinstance(read.input, list) else "input"
        if not text:
            raise InvalidValue(f"`{param}`: is empty. Leave it out.", param=param)
        if not read.truncate:
            check_text(text, param)
    return Head(
        model=read.model,
        user=read.user or "",
        entities=tuple(read.entities.items()) if read.entities else (),
        features=read.features,
    )


def check_text(text: str, param: str, remedy: str = "Send less, or `truncate: true`.") -> None:
    """Raises InvalidValue for a text that is too long; `param` is its place."""
    if len(text) > TEXT_CHARS_MAX:
        raise InvalidValue(
            f"`{param}`: has {len(text)} characters; {TEXT_CHARS_MAX} are the most. {remedy}",
            param=param,
        )


def _texts(read: _PredictHead) -> list[str]:
    return read.input if isinstance(read.input, list) else [read.input]


def _refuse_field(name: str) -> NoReturn:
    shown = name[:60]
    near = difflib.get_close_matches(name, _KNOWN, n=1)
    remedy = f"Did you mean `{near[0]}`?" if near else f"Use {', '.join(_KNOWN)}."
    if name == "stream":
        remedy = "Predictions come whole."
    raise UnsupportedParameter(f"`{shown}`: is not a field of this format. {remedy}", param=shown)


def native(body: bytes, head: Head, model: str, *, stream_usage: bool) -> bytes:
    """The body with the upstream's model name, and no text longer than a model gets to see."""
    read = _head.decode(body)
    if not _cut(read):
        return fields.renamed(body, head.model, model)
    outer: dict[str, Any] = fields.shallow(body)
    texts = [text[:TEXT_CHARS_MAX] for text in _texts(read)]
    return fields.encode({**outer, "model": model, "input": texts})


def _cut(read: _PredictHead) -> list[int]:
    """The places of the texts that are too long."""
    if not read.truncate:
        return []
    return [at for at, text in enumerate(_texts(read)) if len(text) > TEXT_CHARS_MAX]


def usage(body: bytes) -> Usage | None:
    """Usage in a complete answer. Raises UpstreamBadReply."""
    said = reply(body).usage
    return None if said is None else fields.from_openai_usage(said)


def reply(body: bytes) -> _Reply:
    """What a complete answer says; it has a prediction. Raises UpstreamBadReply."""
    try:
        read = _reply.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UpstreamBadReply("The model's answer is not what this API defines.") from None
    if bytes(read.error) != b"null":
        raise UpstreamBadReply("The provider answered 200 with an error inside.")
    if read.predictions is None:
        raise UpstreamBadReply("The provider's answer holds no predictions.")
    return read


def reshaped(body: bytes, call: Call) -> bytes:
    """The answer as the caller gets it: with the names of the model, its version and the arm.

    Texts that we have cut are `truncated`. Raises UpstreamBadReply.
    """
    target = call.attempts[-1].target
    outer: dict[str, Any] = {"object": "list", **fields.shallow(body), "model": call.head.model}
    if target.version or "version" not in outer:
        outer["version"] = target.version or None
    if call.version:
        outer["arm"] = call.version
    if cut := _cut(_head.decode(call.body)):
        try:
            told = _predictions.decode(outer["predictions"])
        except msgspec.ValidationError:
            raise UpstreamBadReply("The model's answer is not what this API defines.") from None
        for at in cut:
            if at < len(told):
                told[at]["truncated"] = True
        outer["predictions"] = told
    return fields.encode(outer)


def passage(head: Head) -> Transform:
    """Predictions are not streamed."""
    refuse()


def to_chat(body: bytes, call: Call) -> Json:
    """Predictions have no way through the hub."""
    refuse()


def from_chat(completion: Json, call: Call, usage: Usage) -> bytes:
    """Predictions have no way through the hub."""
    refuse()


def writer(call: Call) -> ChunkWriter:
    """Predictions are not streamed."""
    refuse()


def refuse() -> NoReturn:
    """The model does something else."""
    raise UnsupportedOperation(
        "The provider behind this model does not classify. Choose a classifier, such as"
        " builtin/sentiment.",
        param="model",
    )
