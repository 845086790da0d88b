"""The smallest way to classify: POST /predict, one text in, one label out.

Rule: the same request as `/v1/predict`, told in three words; where the body names no model, the one of
the configuration answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NoReturn

import msgspec
from msgspec import Meta, Struct

from gatemill.core.call import Head
from gatemill.core.errors import UnsupportedParameter
from gatemill.wire import fields, predict

if TYPE_CHECKING:
    from gatemill.core.call import Call, Usage
    from gatemill.core.ports import ChunkWriter, Json, Transform

_HINTS = {
    "text": "Send the text to classify, at least one character.",
    "model": "GET /v1/models lists the names.",
}


class _TextHead(Struct):
    text: Annotated[str, Meta(min_length=1)]
    model: Annotated[str, Meta(min_length=1)] | None = None


_head = msgspec.json.Decoder(_TextHead)
_names = msgspec.json.Decoder(dict[str, msgspec.Raw])
_KNOWN = _TextHead.__struct_fields__


class PredictText:
    """The format, with the model that answers where none is named; satisfies ports.Surface."""

    NAME = "predict_text"
    FAMILY = "openai"

    def __init__(self, model: str) -> None:
        self._model = model

    def head(self, body: bytes) -> Head:
        """The head of a request. Raises InvalidRequest and its kinds."""
        for name in fields.decode_head(_names, body):
            if name not in _KNOWN:
                _refuse_field(name)
        read = fields.decode_head(_head, body, _HINTS)
        predict.check_text(read.text, "text", "Send less.")
        return Head(model=read.model or self._model)

    def native(self, body: bytes, head: Head, model: str, *, stream_usage: bool) -> bytes:
        """The request as `/v1/predict` has it."""
        return fields.encode({"model": model, "input": _head.decode(body).text})

    def usage(self, body: bytes) -> Usage | None:
        """Usage in a complete answer of `/v1/predict`. Raises UpstreamBadReply."""
        return predict.usage(body)

    def passage(self, head: Head) -> Transform:
        """Predictions are not streamed."""
        predict.refuse()

    def to_chat(self, body: bytes, call: Call) -> Json:
        """Predictions have no way through the hub."""
        predict.refuse()

    def from_chat(self, completion: Json, call: Call, usage: Usage) -> bytes:
        """Predictions have no way through the hub."""
        predict.refuse()

    def writer(self, call: Call) -> ChunkWriter:
        """Predictions are not streamed."""
        predict.refuse()


def reshaped(body: bytes, call: Call) -> bytes:
    """The best label of an answer of `/v1/predict`, and exactly which model gave it.

    `model_version` is the registry's ("sentiment:3"), or `provider/model@version` as the model says it.
    Raises UpstreamBadReply.
    """
    read = predict.reply(body)
    assert read.predictions
    target, best = call.attempts[-1].target, read.predictions[0]
    said = target.label if read.version is None else f"{target.label}:{read.version}"
    return fields.encode(
        {
            "label": best.label,
            "confidence": best.confidence,
            "model_version": target.version or said,
        }
    )


def _refuse_field(name: str) -> NoReturn:
    shown = name[:60]
    raise UnsupportedParameter(
        f"`{shown}`: is not a field of this format. Use text and model, or /v1/predict.",
        param=shown,
    )
