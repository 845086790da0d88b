"""Moderation: POST /v1/moderations, texts in, what harm they hold out, as OpenAI has it.

Rule: what an upstream of this format is sent, and says, passes through. A classifier moderates too: its
labels become categories, and one whose labels name no harm is refused, never called harmless.
Source: OpenAI's document (openapi, /moderations) and Mistral's (/v1/moderations), read 2026-11-21.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import msgspec
from msgspec import Meta, Raw, Struct

from gatemill.core.call import Head, Usage
from gatemill.core.errors import (
    InvalidValue,
    UnsupportedOperation,
    UnsupportedParameter,
    UpstreamBadReply,
)
from gatemill.wire import fields, harms, predict
from gatemill.wire.fields import OpenAIUsage

if TYPE_CHECKING:
    from gatemill.core.call import Call
    from gatemill.core.ports import ChunkWriter, Json, Transform

NAME = "moderations"

INPUTS_MAX = 2048  # texts, or parts, in one request
FLAGGED_FROM = 0.5  # score of a classifier's label from which its category counts
_HINTS = {
    "input": f"Send a text, an array of 1 to {INPUTS_MAX} of them, or an array of parts such as"
    ' {"type": "text", "text": "..."}.',
    "type": "Use text or image_url.",
    "model": "GET /v1/models lists the names.",
}


class _Url(Struct):
    url: Annotated[str, Meta(min_length=1)]


class _Part(Struct):
    type: Literal["text", "image_url"]
    text: str | None = None
    image_url: _Url | None = None


class _ModerationHead(Struct):
    input: str | Annotated[list[str | _Part], Meta(min_length=1, max_length=INPUTS_MAX)]
    model: Annotated[str, Meta(min_length=1)] | None = None


class _Result(Struct):
    """One result. Mistral leaves out `flagged` and the types."""

    categories: dict[str, bool | None]
    category_scores: dict[str, float]
    flagged: bool | None = None
    category_applied_input_types: dict[str, list[str]] | None = None


_NULL = Raw(b"null")  # `Raw | None` would take null alone


class _Reply(Struct):
    id: str | None = None
    model: str | None = None
    results: list[_Result] | None = None
    usage: OpenAIUsage | None = None
    error: Raw = _NULL


class _Shown(Struct):
    label: str
    score: float


class _Prediction(Struct):
    label: str
    confidence: float
    scores: list[_Shown] = []


class _Predicted(Struct):
    predictions: list[_Prediction]


_head = msgspec.json.Decoder(_ModerationHead)
_reply = msgspec.json.Decoder(_Reply)
_predicted = msgspec.json.Decoder(_Predicted)
_shape = msgspec.json.Decoder(dict[str, Raw])


class Moderations:
    """The format, with the model that answers where none is named; satisfies ports.Surface."""

    NAME = NAME
    FAMILY = "openai"

    def __init__(self, model: str) -> None:
        self._model = model

    def head(self, body: bytes) -> Head:
        """The head of a moderation request. Raises InvalidRequest and its kinds."""
        read = fields.decode_head(_head, body, _HINTS)
        _check(read.input)
        return Head(model=read.model or self._model)

    def native(self, body: bytes, head: Head, model: str, *, stream_usage: bool) -> bytes:
        """The body with the upstream's model name, also where the caller named none."""
        if _head.decode(body).model is None:
            return fields.encode({**fields.shallow(body), "model": model})
        return fields.renamed(body, head.model, model)

    def usage(self, body: bytes) -> Usage | None:
        """Usage in a complete answer, a classifier's too. Raises UpstreamBadReply."""
        if _is_predicted(body):
            return predict.usage(body)
        used = _answer(body).usage
        return None if used is None else fields.from_openai_usage(used)

    def passage(self, head: Head) -> Transform:
        """Moderations are not streamed."""
        _refuse()

    def to_chat(self, body: bytes, call: Call) -> Json:
        """Moderations have no way through the hub."""
        _refuse()

    def from_chat(self, completion: Json, call: Call, usage: Usage) -> bytes:
        """Moderations have no way through the hub."""
        _refuse()

    def writer(self, call: Call) -> ChunkWriter:
        """Moderations are not streamed."""
        _refuse()


def _check(given: str | list[str | _Part]) -> None:
    """Raises InvalidValue for what is empty, or of two kinds, with its place."""
    if isinstance(given, str):
        if not given:
            raise InvalidValue("`input`: is empty. Send a text.", param="input")
        return
    if len({type(one) for one in given}) > 1:
        raise InvalidValue("`input`: do not mix texts and parts.", param="input")
    for at, one in enumerate(given):
        place = f"input.{at}"
        if isinstance(one, str):
            if not one:
                raise InvalidValue(f"`{place}`: is empty. Leave it out.", param=place)
        elif (one.text if one.type == "text" else one.image_url) in (None, ""):
            place = f"{place}.{one.type}"
            raise InvalidValue(f"`{place}`: is required in this part.", param=place)


# --- Classifiers ---------------------------------------------------------------------------------


def as_predict(body: bytes, model: str) -> bytes:
    """The same question to a classifier, which shows every label it has.

    Raises InvalidValue for a text that is too long, or too many, and UnsupportedParameter for a picture.
    """
    read = _head.decode(body)
    if isinstance(read.input, str):
        texts = [read.input]
    elif isinstance(read.input[0], str):
        texts = [one for one in read.input if isinstance(one, str)]
    else:
        texts = ["\n".join(_text(one, at) for at, one in enumerate(read.input))]
    if len(texts) > predict.TEXTS_MAX:
        raise InvalidValue(
            f"`input`: this model takes {predict.TEXTS_MAX} texts at once. Send fewer.",
            param="input",
        )
    for at, text in enumerate(texts):
        param = f"input.{at}" if len(texts) > 1 else "input"
        predict.check_text(text, param, "Send less, or the text in parts.")
    return fields.encode({"model": model, "input": texts, "top_k": predict.LABELS_MAX})


def _text(part: str | _Part, at: int) -> str:
    assert not isinstance(part, str), "texts and parts are not mixed"
    if part.type != "text" or part.text is None:
        raise UnsupportedParameter(
            f"`input.{at}`: this model reads no pictures. Choose one that does.",
            param=f"input.{at}",
        )
    return part.text


def _is_predicted(body: bytes) -> bool:
    try:
        return "predictions" in _shape.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


# --- Answers ---------------------------------------------------------------------------------------


def reshaped(body: bytes, call: Call) -> bytes:
    """The answer with all of OpenAI's categories, as it came where it has them.

    Raises UpstreamBadReply, and UnsupportedOperation for a classifier of something else than harm.
    """
    if _is_predicted(body):
        read = _predictions(body)
        results = [_classified(one) for one in read.predictions]
        used = fields.shallow(body).get("usage")
        known = {} if used is None else {"usage": used}
    else:
        answer = _answer(body)
        assert answer.results is not None
        if answer.id and answer.model and all(map(_is_whole, answer.results)):
            return body
        results = [_completed(one) for one in answer.results]
        known = fields.shallow(body)
    named = {"id": f"modr-{call.id}", "model": call.head.model}
    return fields.encode({**named, **known, "results": results})


def scores(body: bytes) -> list[dict[str, float]]:
    """The scores of each result of a complete answer; a flagged category has FLAGGED_FROM at least.

    Raises UpstreamBadReply.
    """
    found = []
    for result in _answer(body).results or ():
        flagged = {name: FLAGGED_FROM for name, flag in result.categories.items() if flag}
        values = result.category_scores
        found.append(
            {name: max(values.get(name, 0.0), flagged.get(name, 0.0)) for name in values | flagged}
        )
    return found


def _answer(body: bytes) -> _Reply:
    """What a complete answer says; it has results. Raises UpstreamBadReply."""
    try:
        read = _reply.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UpstreamBadReply("The provider's answer is not what its API defines.") from None
    if bytes(read.error) != b"null":
        raise UpstreamBadReply("The provider answered 200 with an error inside.")
    if not read.results:
        raise UpstreamBadReply("The provider's answer holds no results.")
    return read


def _predictions(body: bytes) -> _Predicted:
    try:
        return _predicted.decode(body)
    except msgspec.ValidationError:
        raise UpstreamBadReply("The model's answer is not what this API defines.") from None


def _is_whole(result: _Result) -> bool:
    return (
        result.flagged is not None
        and result.category_applied_input_types is not None
        and result.categories.keys() >= harms.NAMES
        and result.category_scores.keys() >= harms.NAMES
    )


def _classified(prediction: _Prediction) -> Json:
    """What a classifier's labels come to. Raises UnsupportedOperation."""
    shown = {one.label: one.score for one in prediction.scores}
    shown.setdefault(prediction.label, prediction.confidence)
    scores = harms.scores(shown)
    if scores is None:
        raise UnsupportedOperation(
            "The labels of this model name no harm that a moderation knows. Choose another one,"
            " such as builtin/moderation, or name its labels after the categories.",
            param="model",
        )
    return _result({name: score >= FLAGGED_FROM for name, score in scores.items()}, scores)


def _completed(result: _Result) -> Json:
    """A result of a vendor with fewer, or other, categories."""
    flags = harms.renamed({name: bool(flag) for name, flag in result.categories.items()})
    made = _result(flags, harms.renamed(result.category_scores))
    if result.flagged is not None:
        made["flagged"] = result.flagged
    return made


def _result(flags: dict[str, bool], scores: dict[str, float]) -> Json:
    names = dict.fromkeys((*harms.CATEGORIES, *flags))
    return {
        "flagged": any(flags.values()),
        "categories": {name: flags.get(name, False) for name in names},
        "category_scores": {name: scores.get(name, 0.0) for name in names},
        "category_applied_input_types": {name: ["text"] for name in names},
    }


def _refuse() -> NoReturn:
    raise UnsupportedOperation(
        "The provider behind this model does not moderate. Choose a model that does, or one that"
        " classifies, such as builtin/moderation.",
        param="model",
    )
