"""Requests and answers of models that run in threads. Rule: what a request may hold is said to its caller."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct

from gatemill.core.errors import InvalidValue
from gatemill.core.ports import Incoming
from gatemill.wire import fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy import ndarray

    from gatemill.core.ports import Json
    from gatemill.local.onnx_model.tasks import Labels

_Count = Annotated[int, Meta(ge=1)]


class Embed(Struct):
    """The body of an embeddings request."""

    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: _Count | None = None
    truncate: bool | None = None  # ours: read the beginning of what is too long


class Predict(Struct):
    """The body of a prediction; see wire/predict."""

    input: str | list[str]
    top_k: _Count | None = None
    truncate: bool | None = None


class Document(Struct):
    """One of the documents to be ranked."""

    text: str


class Rerank(Struct):
    """The body of a reranking; see wire/rerank."""

    query: str
    documents: list[str | Document]
    top_n: _Count | None = None
    return_documents: bool | None = None
    truncate: bool | None = None


read_embed = msgspec.json.Decoder(Embed)
read_predict = msgspec.json.Decoder(Predict)
read_rerank = msgspec.json.Decoder(Rerank)


def texts(given: str | Sequence[str | int | list[int]]) -> list[str]:
    """The texts of `input`. Raises InvalidValue for tokens and for nothing."""
    found = [given] if isinstance(given, str) else list(given)
    kept = [one for one in found if isinstance(one, str)]
    if len(kept) != len(found):
        raise InvalidValue(
            "`input`: this model reads texts, and its tokens are not OpenAI's. Send strings.",
            param="input",
        )
    if not kept or "" in kept:
        raise InvalidValue("`input`: send one text or more, none of them empty.", param="input")
    return kept


def documents(asked: Rerank) -> list[str]:
    """The texts of `documents`. Raises InvalidValue."""
    found = [one if isinstance(one, str) else one.text for one in asked.documents]
    if not found:
        raise InvalidValue("`documents`: send at least one.", param="documents")
    return found


def embeddings(model: str, vectors: Sequence[ndarray], tokens: int, asked: Embed) -> Incoming:
    """OpenAI's list of embeddings, of unit vectors [dimensions] float32."""
    data = [
        {"object": "embedding", "index": index, "embedding": _written(vector, asked)}
        for index, vector in enumerate(vectors)
    ]
    return _answer({"object": "list", "data": data, "model": model, "usage": _usage(tokens)})


def _written(vector: ndarray, asked: Embed) -> str | list[float]:
    if asked.dimensions is not None and asked.dimensions < len(vector):
        vector = vector[: asked.dimensions]
        vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
    if asked.encoding_format == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    found: list[float] = vector.tolist()
    return found


def predictions(
    names: tuple[str, str | None],
    rows: Sequence[ndarray],
    labels: Labels,
    read: tuple[int, Sequence[bool]],
) -> Json:
    """The answer to a prediction, of confidences [labels] float32 for each input.

    `names` are model and version; `read` how many tokens were read, and which inputs were cut.
    """
    tokens, cut = read
    found = []
    for shares, is_cut in zip(rows, cut, strict=True):
        order = shares.argsort(kind="stable")[::-1]
        scores = [{"label": labels.names[i], "score": float(shares[i])} for i in order]
        found.append(
            {
                "label": scores[0]["label"],
                "confidence": scores[0]["score"],
                "scores": scores,
                "truncated": is_cut,
            }
        )
    return {
        "object": "list",
        "model": names[0],
        "version": names[1],
        "predictions": found,
        "usage": _usage(tokens),
    }


def predicted(answer: Json, top_k: int) -> Incoming:
    """The answer, with so many scores for each input."""
    for one in answer["predictions"]:
        one["scores"] = one["scores"][:top_k]
    return _answer(answer)


def ranking(model: str, scores: Sequence[float], tokens: int, asked: Rerank) -> Incoming:
    """The documents by relevance, the best first; equal ones as they came."""
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    found: list[Json] = []
    for index in order[: asked.top_n or len(order)]:
        row: Json = {"index": index, "relevance_score": scores[index]}
        if asked.return_documents:
            document = asked.documents[index]
            row["document"] = {"text": document if isinstance(document, str) else document.text}
        found.append(row)
    return _answer({"object": "list", "model": model, "results": found, "usage": _usage(tokens)})


def _usage(tokens: int) -> Json:
    return {"prompt_tokens": tokens, "total_tokens": tokens}


def _answer(value: Json) -> Incoming:
    return Incoming(200, {}, fields.encode(value))
