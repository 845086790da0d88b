"""What a graph's output means: a vector, labels, a score. Rule: pure; what it means stands in the model's files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from gatemill.core.errors import ModelLoadFailed
from gatemill.local.sources import settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy import ndarray

    from gatemill.core.ports import Json

_MODES = {  # sentence-transformers' 1_Pooling/config.json
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "lasttoken",
}


class Labels(Struct, frozen=True):
    """The classes of a classifier."""

    names: tuple[str, ...]
    several: bool  # each is true or not by itself; else one of them is


def pooling_of(folder: Path, wanted: str) -> str:
    """How token vectors become one. Raises ModelLoadFailed for what is not done here."""
    if wanted and wanted not in _POOLERS:
        raise ModelLoadFailed(f"pooling `{wanted}`: there are {', '.join(_POOLERS)}.")
    if wanted:
        return wanted
    if (folder / "2_Dense").is_dir():
        raise ModelLoadFailed(
            f"`{folder}` has a dense layer after its pooling, which is not in the graph. Export the"
            " whole model, so that it gives `sentence_embedding`."
        )
    said = settings(folder, "1_Pooling/config.json")
    modes = [mode for key, mode in _MODES.items() if said.get(key)]
    others = [key for key, value in said.items() if key.startswith("pooling_mode_") and value]
    if len(modes) == len(others) == 1:
        return modes[0]
    if others:
        raise ModelLoadFailed(f"`{folder}` pools by {', '.join(others)}, which is not done here.")
    return str(said.get("pooling_mode") or "mean") if said else "mean"


def pooled(output: ndarray, mask: ndarray, pooling: str) -> ndarray:
    """Unit vectors [batch, dimensions], of token vectors [batch, tokens, dimensions] or of vectors."""
    if output.ndim == 3:
        output = _POOLERS[pooling](output, mask[:, :, None].astype(np.float32))
    norms = np.linalg.norm(output, axis=1, keepdims=True)
    found: ndarray = output / np.maximum(norms, 1e-12)
    return found


def _lasttoken(vectors: ndarray, mask: ndarray) -> Any:
    ends = mask[:, :, 0].sum(1).astype(int) - 1
    return vectors[np.arange(len(vectors)), ends]


_POOLERS: dict[str, Callable[[Any, Any], Any]] = {
    "mean": lambda vectors, mask: (vectors * mask).sum(1) / np.maximum(mask.sum(1), 1e-9),
    "cls": lambda vectors, _: vectors[:, 0],
    "max": lambda vectors, mask: np.where(mask > 0, vectors, -np.inf).max(1),
    "lasttoken": _lasttoken,
}


def labels_of(config: Json, name: str) -> Labels:
    """The classes that config.json names. Raises ModelLoadFailed."""
    if config.get("problem_type") == "regression":
        raise ModelLoadFailed(
            f"`{name}` predicts a number, not a label (problem_type in config.json)."
        )
    said = config.get("id2label")
    names: list[str] = []
    if isinstance(said, dict):
        names = [str(said.get(str(index), "")) for index in range(len(said))]
    if not names or "" in names:
        raise ModelLoadFailed(
            f"config.json of `{name}` does not say what its labels are (id2label)."
        )
    several = config.get("problem_type") == "multi_label_classification" or len(names) == 1
    return Labels(tuple(names), several)


def shares(logits: ndarray, labels: Labels) -> ndarray:
    """Confidences [batch, labels] between 0 and 1; of one row they sum to 1 unless several may be true."""
    if labels.several:
        return sigmoid(logits)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: ndarray = powers / powers.sum(axis=1, keepdims=True)
    return found


def relevance(logits: ndarray) -> ndarray:
    """Scores [batch] between 0 and 1, of a cross-encoder with one output, or with "no" and "yes"."""
    if logits.shape[1] == 1:
        return sigmoid(logits[:, 0])
    return sigmoid(logits[:, 1] - logits[:, 0])


def sigmoid(x: ndarray) -> ndarray:
    """1 / (1 + e^-x), without overflow."""
    found: ndarray = 0.5 * (1.0 + np.tanh(0.5 * x))
    return found
