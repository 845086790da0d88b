"""A predict request to a classifier that is built in, answered text by text. Rule: pure; the classifier only scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gatemill.policy import tokens
from gatemill.wire.predict import TEXT_CHARS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gatemill.core.ports import Json


class _Asked(Struct):
    input: str | list[str]
    top_k: int | None = None


_asked = msgspec.json.Decoder(_Asked)


def answer(
    body: bytes, model: str, version: str, scores: Callable[[str], Mapping[str, float]]
) -> Json:
    """The answer to a predict request that has been checked; `scores` are those of each label."""
    asked = _asked.decode(body)
    texts = asked.input if isinstance(asked.input, list) else [asked.input]
    used = sum(tokens.estimate(len(text.encode("utf-8", "replace"))) for text in texts)
    return {
        "object": "list",
        "model": model,
        "version": version,
        "predictions": [_prediction(text, asked.top_k or 1, scores) for text in texts],
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }


def _prediction(
    text: str, top_k: int, scores: Callable[[str], Mapping[str, float]]
) -> dict[str, Any]:
    # Of equal scores, the narrower label says more: "hate/threatening" before "hate".
    best = sorted(
        scores(text[:TEXT_CHARS_MAX]).items(), key=lambda each: (-each[1], "/" not in each[0])
    )
    return {
        "label": best[0][0],
        "confidence": best[0][1],
        "scores": [{"label": label, "score": score} for label, score in best[:top_k]],
        "truncated": len(text) > TEXT_CHARS_MAX,
    }
