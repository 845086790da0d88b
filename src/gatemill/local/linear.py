"""A linear head: vectors of an embedding model, and what is known besides -> labels.

Rule: pure; the same inputs give the same scores. NumPy is imported with this module, so it is imported
when a head is trained or loaded, and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec import Struct

from gatemill.core.errors import ModelLoadFailed
from gatemill.local import safetensors
from gatemill.local.safetensors import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy import ndarray

_FORMAT = "gatemill-head-1"
FAR = 1e6  # standard deviations from the mean; beyond it a number says no more


class Column(Struct, frozen=True):
    """One feature beside the vector."""

    name: str  # "user.tier"
    values: tuple[str, ...] = ()  # one place for each of these; () is a number
    mean: float = 0.0  # of a number in the examples, which stands for a missing one
    scale: float = 1.0  # its standard deviation there

    @property
    def width(self) -> int:
        """Places that it takes."""
        return len(self.values) or 1


class Head(Struct, frozen=True):
    """What was learned."""

    labels: tuple[str, ...]
    columns: tuple[Column, ...]
    weight: Any  # ndarray [labels, dimensions + columns] float32
    bias: Any  # ndarray [labels] float32

    @property
    def dimensions(self) -> int:
        """Of the vectors."""
        return int(self.weight.shape[1]) - sum(column.width for column in self.columns)

    def scores(self, vectors: ndarray, features: Sequence[dict[str, Any]]) -> ndarray:
        """Probabilities [texts, labels] float64 of vectors [texts, dimensions]; each row sums to 1."""
        inputs = np.concatenate((normal(vectors), encoded(self.columns, features)), axis=1)
        return softmax(inputs @ self.weight.T.astype(np.float64) + self.bias)


class _Told(Struct):
    labels: tuple[str, ...]
    columns: tuple[Column, ...]


_told = msgspec.json.Decoder(_Told)


def normal(vectors: ndarray) -> ndarray:
    """The vectors [n, dimensions] as float64 of length 1; one of zeros stays."""
    wide = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    made: ndarray = wide / np.where(lengths > 0, lengths, 1.0)
    return made


def softmax(logits: ndarray) -> ndarray:
    """Rows of probabilities, float64."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: ndarray = shifted / shifted.sum(axis=1, keepdims=True)
    return shares


def encoded(columns: Sequence[Column], features: Sequence[dict[str, Any]]) -> ndarray:
    """The features [n, places] float64; what is missing or unknown is 0."""
    made = np.zeros((len(features), sum(column.width for column in columns)))
    for row, known in enumerate(features):
        at = 0
        for column in columns:
            place, value = _place(column, known.get(column.name))
            made[row, at + place] = value
            at += column.width
    return made


def _place(column: Column, value: Any) -> tuple[int, float]:
    """Which of its places holds what."""
    if column.values:
        text = as_text(value)
        return (column.values.index(text), 1.0) if text in column.values else (0, 0.0)
    if isinstance(value, (int, float)) and np.isfinite(value):
        distance = (float(value) - column.mean) / column.scale
        return 0, max(-FAR, min(FAR, distance))
    return 0, 0.0


def as_text(value: Any) -> str:
    """A category's value; true and "true" are the same."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def written(head: Head) -> bytes:
    """Safetensors of the head."""
    tensors = {
        "weight": Tensor(tuple(head.weight.shape), head.weight.astype("<f4").tobytes()),
        "bias": Tensor(tuple(head.bias.shape), head.bias.astype("<f4").tobytes()),
    }
    told = msgspec.json.encode(_Told(head.labels, head.columns)).decode()
    return safetensors.written(tensors, {"format": _FORMAT, "head": told})


def read(weights: bytes) -> Head:
    """The head of `written`. Raises ModelLoadFailed."""
    tensors, metadata = safetensors.read(weights)
    try:
        told = _told.decode(metadata.get("head", ""))
    except msgspec.MsgspecError:
        raise ModelLoadFailed("The weights are no head that was trained here.") from None
    weight, bias = tensors.get("weight"), tensors.get("bias")
    known = metadata.get("format") == _FORMAT and weight is not None and bias is not None
    if not known or weight is None or bias is None or len(weight.shape) != 2:
        raise ModelLoadFailed("The weights are no head that was trained here.")
    head = Head(told.labels, told.columns, _array(weight), _array(bias))
    if len(told.labels) != weight.shape[0] or bias.shape != weight.shape[:1] or head.dimensions < 1:
        raise ModelLoadFailed("The weights of the head do not fit its labels.")
    return head


def _array(tensor: Tensor) -> ndarray:
    return np.frombuffer(tensor.data, dtype="<f4").reshape(tensor.shape)
