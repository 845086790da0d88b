"""How well passages are found: by words alone, and fused with the vectors of a real embedder.

The figures are of questions and answers that share words, as docstrings do: enough to see that
something broke, not to compare embedders that are close.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

import minilm
from api import api
from filled_stores import filled
from gatemill.core.clock import SystemClock
from gatemill.knowledge.retrieval import Search, Wanted
from gatemill.ledger.ledger import Ledger
from house_for_tests import opened
from knowledge_play import Models
from quality_set import pairs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gatemill.knowledge.asking import Asker
    from gatemill.ledger.knowledge.rows import Store
    from quality_set import Pair

DEPTH = 10
OWNER = "key:quality"
GROUP = 32  # texts of one request for vectors


@pytest.fixture
async def ledger(tmp_path: Path):
    made = Ledger.open(tmp_path, None, SystemClock())
    yield made
    await made.close()


async def stored(ledger: Ledger, set_: Sequence[Pair], **more: Any) -> Store:
    return await filled(ledger, OWNER, {"docs": [pair.answer for pair in set_]}, **more)


async def recalls(
    ledger: Ledger, store: Store, asked: Sequence[Pair], asker: Asker, mode: str
) -> tuple[float, float]:
    """Shares of the questions whose answer is the first passage, and among the first ten."""
    search = Search(ledger.knowledge, lambda: 0.0)
    first = among = 0
    for pair in asked:
        wanted = Wanted(queries=(pair.question,), count=DEPTH, mode=mode, candidates=50)
        texts = [passage.text for passage in (await search.run(store, wanted, asker)).passages]
        first += texts[:1] == [pair.answer]
        among += pair.answer in texts
    return first / len(asked), among / len(asked)


async def test_words_alone_find_most_answers(ledger: Ledger):
    set_ = pairs(800)
    store = await stored(ledger, set_)
    first, among = await recalls(ledger, store, set_[::4], Models(), "keyword")
    # Measured 2026-11-21, Python 3.11: see the figures in docs/guides/answers-from-documents.md.
    assert first > 0.3
    assert among > 0.65


class Embedder(Models):
    """Answers with vectors that were made before, all at once."""

    def __init__(self, vectors: Mapping[str, Sequence[float]]) -> None:
        super().__init__(embeddings=self._told)
        self._vectors = vectors

    def _told(self, body: Any) -> Any:
        return {
            "data": [
                {"index": at, "embedding": list(map(float, self._vectors[text]))}
                for at, text in enumerate(body["input"])
            ]
        }


@minilm.needed
async def test_fused_with_a_real_embedder_words_find_more(tmp_path: Path):
    folder = minilm.folder()
    config = f'[local.minilm]\ntask = "embed"\nsource = "file:{folder}"\n'
    set_ = pairs(800)
    texts = [text for pair in set_ for text in pair]
    async with opened(tmp_path, config) as home, api(home) as ask:
        made: dict[str, list[float]] = {}
        for at in range(0, len(texts), GROUP):
            group = texts[at : at + GROUP]
            body = {"model": "local/minilm", "input": group, "truncate": True}
            said = await ask.good("POST", "/v1/embeddings", body)
            made |= {group[one["index"]]: one["embedding"] for one in said["data"]}
        ledger = home.home.ledger
        store = await stored(ledger, set_, embedder="local/minilm", vectors=made)
        found = {
            mode: await recalls(ledger, store, set_, Embedder(made), mode)
            for mode in ("keyword", "dense", "hybrid")
        }
    sys.stdout.write(f"{found}\n")
    assert found["hybrid"][0] > found["keyword"][0]
    assert found["hybrid"][1] > found["keyword"][1]
