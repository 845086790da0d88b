"""A real transformer: exported, quantized, served, compared with the original."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest

import minilm
from api import api
from house_for_tests import opened

pytestmark = minilm.needed

TEXTS = [
    "A cat sits on the mat.",
    "A feline rests upon a rug.",
    "The central bank raised interest rates by a quarter of a point.",
    "ok",
    "How do I move a model to production and back again without losing a single request? " * 4,
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
]


def reference() -> np.ndarray:
    """What transformers and torch give, one text at a time: mean of the tokens, length one."""
    import torch
    import transformers

    folder = minilm.original()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, use_safetensors=True).eval()
    found = []
    with torch.inference_mode():
        for text in TEXTS:
            tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=256)
            mean = model(**tokens).last_hidden_state[0].mean(dim=0)
            found.append((mean / mean.norm()).numpy())
    return np.stack(found)


async def served(tmp_path: Path, more: str = "") -> np.ndarray:
    """The vectors as the gateway gives them, all texts in one request."""
    config = f'[local.minilm]\ntask = "embed"\nsource = "file:{minilm.folder()}"\n{more}'
    async with opened(tmp_path, config) as home, api(home) as ask:
        said = await ask.good("POST", "/v1/embeddings", {"model": "minilm", "input": TEXTS})
    return np.array([one["embedding"] for one in said["data"]])


def test_the_weights_are_those_that_were_published() -> None:
    data = (minilm.original() / "model.safetensors").read_bytes()
    assert hashlib.sha256(data).hexdigest() == minilm.SHA256


async def test_vectors_are_those_of_the_original(tmp_path) -> None:
    found = await served(tmp_path)
    assert found.shape == (len(TEXTS), 384)
    furthest = np.abs(found - reference()).max()
    sys.stdout.write(f"furthest from the original: {furthest:.1e}\n")
    assert furthest < 1e-3


async def test_int8_points_where_the_original_points(tmp_path) -> None:
    found = await served(tmp_path, 'dtype = "int8"\n')
    cosines = (found * reference()).sum(axis=1)
    assert cosines.min() > 0.96, cosines


async def test_what_means_the_same_is_near(tmp_path) -> None:
    found = await served(tmp_path)
    near, far = found[0] @ found[1], found[0] @ found[2]
    assert near == pytest.approx(0.56, abs=0.1)
    assert far < 0.15
