"""A classifier that was trained from labelled examples: a linear head on another model's vectors.

Rule: the embedding model runs here too, so a prediction costs nothing that no key pays for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import Struct

from gatemill.core.errors import ModelLoadFailed, UnsupportedOperation, UpstreamError
from gatemill.core.ports import Incoming
from gatemill.local import linear
from gatemill.local.asking import vectors_of
from gatemill.local.options import Options
from gatemill.wire import fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy import ndarray

    from gatemill.core.call import Timeouts
    from gatemill.core.model import ModelSpec
    from gatemill.core.ports import Json, Outgoing, Source
    from gatemill.local.linear import Head
    from gatemill.local.parts import Tools

PATH = "/predict"
_JSON = {"content-type": "application/json"}
_CONFIDENCE_DIGITS = 6


class _Asked(Struct):
    input: str | list[str]
    top_k: int | None = None
    features: dict[str, Any] | None = None


_asked = msgspec.json.Decoder(_Asked)


async def load(spec: ModelSpec, tools: Tools) -> HeadRuntime:
    """The head, and its embedding model answers. Raises ModelLoadFailed, ExtraNotInstalled."""
    head = linear.read(spec.weights)
    made = HeadRuntime(spec.name, head, Options(spec).text("embedding_model"), tools)
    await tools.reserve(spec, made.memory_bytes)
    found = await made.vectors(["probe"])
    if found.shape[1] != head.dimensions:
        raise ModelLoadFailed(
            f"`{spec.name}` was trained on vectors of {head.dimensions} numbers; `{made.model}` gives"
            f" {found.shape[1]}. Train it again."
        )
    return made


class HeadRuntime:
    """Satisfies local.parts.Runtime."""

    waiting = 0
    pid: int | None = None
    restarts = 0

    def __init__(self, name: str, head: Head, model: str, tools: Tools) -> None:
        self.model = model  # "builtin/hash-512": whose vectors it takes
        self.memory_bytes = int(head.weight.nbytes + head.bias.nbytes)
        self._name = name
        self._head = head
        self._tools = tools

    async def exchange(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming:
        """Labels with their confidence. Raises UnsupportedOperation and what the embedding model says."""
        if out.path.partition("?")[0] != PATH:
            raise UnsupportedOperation(
                f"The model `{self._name}` classifies, and nothing else. Choose another.",
                param="model",
            )
        asked = _asked.decode(out.body)
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        vectors = await self.vectors(texts)
        if vectors.shape[1] != self._head.dimensions:
            raise UpstreamError(
                f"`{self.model}` is another model than `{self._name}` was trained on."
            )
        scores = self._head.scores(vectors, [asked.features or {}] * len(texts))
        return Incoming(200, _JSON, fields.encode(self._told(scores, asked.top_k or 1, texts)))

    async def open(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming | Source:
        """Nothing here is streamed: the complete answer."""
        return await self.exchange(out, timeouts, deadline_s)

    async def close(self) -> None:
        """There is nothing to give back."""

    async def vectors(self, texts: Sequence[str]) -> ndarray:
        """[texts, dimensions] float32. Raises what the embedding model says."""
        found = await vectors_of(self._tools.ask, self.model, texts)
        return np.asarray(found, dtype=np.float32)

    def _told(self, scores: ndarray, top: int, texts: Sequence[str]) -> Json:
        words = sum(len(text.split()) for text in texts)
        return {
            "object": "list",
            "model": self._name,
            "version": self._name,
            "predictions": [self._prediction(row, top) for row in scores],
            "usage": {"prompt_tokens": words, "total_tokens": words},
        }

    def _prediction(self, row: ndarray, top: int) -> Json:
        labels = self._head.labels
        order = sorted(range(len(labels)), key=lambda at: (-row[at], labels[at]))
        told = [
            {"label": labels[at], "score": round(float(row[at]), _CONFIDENCE_DIGITS)}
            for at in order[:top]
        ]
        return {
            "label": told[0]["label"],
            "confidence": told[0]["score"],
            "scores": told,
            "truncated": False,
        }
