"""A vector store in memory, and models that say what the test tells them."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from gatemill.core.errors import NotFound
from gatemill.ledger.knowledge.rows import Chunk, Embedder, Hit, Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

_WORDS = re.compile(r"\w+")


def store(embedder: str = "", mode: str = "") -> Store:
    """A store of the owner `me`."""
    return Store(
        id="vs_1",
        owner="me",
        name="notes",
        mode=mode or ("hybrid" if embedder else "keyword"),
        embedder=Embedder(embedder, 2),
        created_at=0.0,
        active_at=0.0,
    )


class Shelf:
    """Chunks by id: their text and their vector. Finds by equal words and by cosine."""

    def __init__(self, **chunks: tuple[str, tuple[float, float]]) -> None:
        self._texts = {name: text for name, (text, _) in chunks.items()}
        self._vectors = {
            name: np.array(vector, dtype=np.float32) / np.linalg.norm(vector)
            for name, (_, vector) in chunks.items()
        }
        self.asked: list[tuple[str, Any, int]] = []  # way, filter, k

    async def keyword(self, store: Store, query: str, where: Any, k: int) -> list[Hit]:
        self.asked.append(("keyword", where, k))
        words = set(_WORDS.findall(query.lower()))
        found = [
            Hit(name, float(len(words & set(_WORDS.findall(text.lower())))))
            for name, text in self._texts.items()
        ]
        return _best([hit for hit in found if hit.score], k)

    async def dense(self, store: Store, vector: Sequence[float], where: Any, k: int) -> list[Hit]:
        self.asked.append(("dense", where, k))
        asked = np.array(vector) / np.linalg.norm(vector)
        return _best([Hit(name, float(v @ asked)) for name, v in self._vectors.items()], k)

    async def get(self, store: Store, chunk_ids: Sequence[str]) -> dict[str, Chunk]:
        return {name: self._chunk(name) for name in chunk_ids if name in self._texts}

    async def vectors(self, store: Store, chunk_ids: Sequence[str]) -> dict[str, np.ndarray]:
        return {name: self._vectors[name] for name in chunk_ids}

    async def find(self, name_or_id: str, owner: str) -> Store:
        raise NotFound("There is no such store.")

    def drop(self, name: str) -> None:
        """The text goes between finding and reading it."""
        del self._texts[name]

    def _chunk(self, name: str) -> Chunk:
        text = self._texts[name]
        return Chunk(
            id=name,
            document_id=f"file-{name}",
            title=f"{name}.md",
            attributes={"of": name},
            ordinal=0,
            start=5,
            end=5 + len(text),
            text=text,
        )


def _best(hits: list[Hit], k: int) -> list[Hit]:
    return sorted(hits, key=lambda hit: -hit.score)[:k]


class Models:
    """An Asker whose models are functions of the decoded body. They may raise GatemillError."""

    def __init__(self, *labels: str, **answers: Callable[[Any], Any]) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.admissions = 0
        self._labels = list(labels)
        self._answers = answers

    async def ask(self, operation: str, body: bytes, step: str) -> bytes:
        asked = msgspec.json.decode(body)
        self.asked.append((operation, asked))
        return msgspec.json.encode(self._answers[operation](asked))

    def labels(self, model: str) -> list[str]:
        return self._labels

    async def storable(self, text: str) -> str:
        return text

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        self.admissions += 1
        yield


def embedded(vector: tuple[float, float]) -> Callable[[Any], Any]:
    """An embedder that gives each text the same vector."""
    return lambda body: {
        "data": [{"index": at, "embedding": list(vector)} for at, _ in enumerate(body["input"])]
    }
