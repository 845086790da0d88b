"""builtin/lexical: documents by BM25 against a query. Rule: what is rare among these documents counts most."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from gatemill.local.builtin.words import terms
from gatemill.policy import tokens
from gatemill.wire import rerank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatemill.core.ports import Json

_K1, _B = 1.2, 0.75


def answer(body: bytes, now_s: float) -> Json:
    """The answer to a rerank request that has been checked."""
    asked = rerank.read(body)
    texts = asked.texts
    scored = scores(asked.query, texts)
    order = sorted(range(len(texts)), key=lambda at: (-scored[at], at))
    results: list[dict[str, Any]] = []
    for at in order[: asked.top_n or len(order)]:
        result: dict[str, Any] = {"index": at, "relevance_score": round(scored[at], 6)}
        if asked.return_documents:
            result["document"] = {"text": texts[at]}
        results.append(result)
    read = (asked.query, *texts)
    used = sum(tokens.estimate(len(text.encode("utf-8", "replace"))) for text in read)
    return {
        "object": "list",
        "model": "builtin/lexical",
        "results": results,
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }


def scores(query: str, documents: Sequence[str]) -> list[float]:
    """How well each document fits, from 0 to 1; 0 where no word is shared."""
    wanted = dict.fromkeys(terms(query))
    counted = [Counter(terms(text)) for text in documents]
    lengths = [counts.total() for counts in counted]
    mean = sum(lengths) / max(1, len(lengths)) or 1.0
    rarity: dict[str, float] = {}
    for term in wanted:
        holding = sum(1 for counts in counted if term in counts)
        rarity[term] = math.log1p((len(documents) - holding + 0.5) / (holding + 0.5))
    most = sum(rarity.values()) * (_K1 + 1) or 1.0
    found = []
    for counts, length in zip(counted, lengths, strict=True):
        damping = _K1 * (1 - _B + _B * length / mean)
        total = 0.0
        for term in wanted:
            count = counts[term]
            total += rarity[term] * count * (_K1 + 1) / (count + damping)
        found.append(total / most)
    return found
