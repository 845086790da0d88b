"""`python -m bench.rag`: how fast questions to documents are. Rule: a real server, a real store, real HTTP.

The text is made up: words by Zipf's law, the commonest of which are those of English, as in a text
that somebody wrote; a question is drawn in the same way. The vectors are those of the built-in `echo`
model: unit vectors that depend on the text and mean nothing, which costs what real ones of that length cost.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import datetime as dt
import os
import random
import shlex
import sys
import tempfile
from contextlib import nullcontext
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from bench import jobs_load, machine, report
from bench.failures import BenchStopped
from bench.jobs_load import request
from bench.jobs_stage import Stage, serving
from bench.machine import Machine
from bench.table import number
from gatemill.core.clock import SystemClock
from gatemill.core.job import owner_of
from gatemill.core.ports import Incoming, Outgoing
from gatemill.ledger.knowledge.documents import Filling, NewDocument
from gatemill.ledger.knowledge.filling import Passage
from gatemill.ledger.knowledge.stores import NewStore
from gatemill.ledger.knowledge.words import COMMON
from gatemill.ledger.ledger import Ledger
from gatemill.providers import echo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.jobs_load import Load, Place
    from bench.jobs_stage import Live

ROWS = (  # id, what it is, digits, target
    ("keyword_p50_ms", "RAG query by words, passages alone, p50, ms", 1, "< 30"),
    ("keyword_p99_ms", "the same, p99", 1, ""),
    (
        "common_p50_ms",
        "the same, of three words, any of which a third of all passages has, p50",
        1,
        "",
    ),
    ("hybrid_p50_ms", "RAG query by words and vectors, passages alone, p50, ms", 1, "< 30"),
    ("hybrid_p99_ms", "the same, p99", 1, ""),
    ("extract_p50_ms", "RAG query by words, answered by builtin/extract, p50, ms", 1, ""),
    ("rerank_p50_ms", "RAG query by words, 30 reranked by builtin/lexical, p50, ms", 1, ""),
    ("search_p50_ms", "OpenAI's search, hybrid, ten results, p50, ms", 1, ""),
    ("eight_per_s", "RAG queries by words, eight callers, a second", 0, ""),
)
CONFIG = """
[models.vectors]
targets = ["echo/echo"]
"""
VOCABULARY = 20_000
CHUNK_WORDS = 90
DOCUMENT_CHUNKS = 20
QUESTION_WORDS = 8
COMMON_WORDS = 8
SEED = 7
_PERIOD = 97  # documents between two reports of progress


class Sizes(Struct, frozen=True):
    """How much."""

    chunks: int = 10_000
    questions: int = 300


QUICK = Sizes(chunks=400, questions=20)


class Result(Struct):
    """One run. Everything the table says comes from here."""

    date: str  # UTC
    command: str
    machine: Machine
    figures: dict[str, float]
    notes: list[str]


class Words:
    """Made-up text, the same in every run."""

    def __init__(self) -> None:
        self._rng = random.Random(SEED)
        self.common = [_syllables(at) for at in range(COMMON_WORDS)]  # of those that tell something
        rest = [_syllables(at) for at in range(COMMON_WORDS, VOCABULARY - len(COMMON))]
        self._words = [*sorted(COMMON), *self.common, *rest]
        self._weights = list(accumulate(1 / (rank + 2) for rank in range(VOCABULARY)))

    def text(self, count: int) -> str:
        """So many words, in sentences of twelve."""
        drawn = self._rng.choices(self._words, cum_weights=self._weights, k=count)
        return ". ".join(" ".join(drawn[at : at + 12]) for at in range(0, count, 12)) + ". "


def _syllables(number: int) -> str:
    out = ""
    number += 75 * 75  # three syllables at least, so that none is a word of English
    while number:
        number, place = divmod(number, 75)
        out += "bcdfghklmnprstv"[place // 5] + "aeiou"[place % 5]
    return out


def main(arguments: list[str]) -> int:
    """The exit code: 0, 1 when a run stopped."""
    return report.main(arguments, _parser(), _measured, render)


def render(result: Result) -> str:
    """Head and table, ending in a line break."""
    rows = [["measure", "SQLite", "target"]]
    for row, title, digits, target in ROWS:
        if row in result.figures:
            rows.append([title, number(result.figures[row], digits), target])
    return report.table(result, rows)


def _measured(asked: argparse.Namespace, arguments: Sequence[str]) -> Result:
    here = machine.describe()
    cores = machine.cores(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores.load)
    sizes = QUICK if asked.quick else Sizes(chunks=asked.chunks)
    with tempfile.TemporaryDirectory(prefix="gatemill-bench-") as folder:
        stage = Stage(Path(folder), cores, lambda: nullcontext(""))
        with serving(stage, CONFIG) as live:
            figures = asyncio.run(measure(live, Path(folder) / "server-0" / "data", sizes))
    return Result(
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        command=shlex.join(["python", "-m", "bench.rag", *arguments]),
        machine=here,
        figures=figures,
        notes=[
            f"{sizes.chunks:,} passages of {CHUNK_WORDS} words; vectors of 256 numbers.",
            f"{sizes.questions} questions of {QUESTION_WORDS} words, half of them common, one after the other.",
            "The server has a core of its own; the load has the others.",
        ],
    )


async def measure(live: Live, data_dir: Path, sizes: Sizes) -> dict[str, float]:
    """All figures of a server whose ledger lies in `data_dir`. Raises BenchStopped."""
    place, words = live.place, Words()
    await fill(place, data_dir, words, sizes.chunks)
    questions = [words.text(QUESTION_WORDS) for _ in range(sizes.questions)]
    alone = {"answer": False}
    lexical = {"method": "model", "model": "builtin/lexical"}
    keyword = await _asked(place, questions, {"store": "words", **alone})
    common = [" ".join(words.common[at % 5 :][:3]) for at in range(sizes.questions)]
    usual = await _asked(place, common, {"store": "words", **alone})
    hybrid = await _asked(place, questions, {"store": "near", **alone})
    extract = await _asked(place, questions, {"store": "words"})
    rerank = await _asked(place, questions, {"store": "words", "rerank": lexical, **alone})
    path = "/v1/vector_stores/near/search"
    searches = [request(place, "POST", path, _json(query=each)) for each in questions]
    search = _good(await jobs_load.at_full_speed(place, searches, 1, 200))
    eight = await _asked(place, questions * 2, {"store": "words", **alone}, 8)
    return {
        "keyword_p50_ms": _percentile_ms(keyword, 0.5),
        "keyword_p99_ms": _percentile_ms(keyword, 0.99),
        "common_p50_ms": _percentile_ms(usual, 0.5),
        "hybrid_p50_ms": _percentile_ms(hybrid, 0.5),
        "hybrid_p99_ms": _percentile_ms(hybrid, 0.99),
        "extract_p50_ms": _percentile_ms(extract, 0.5),
        "rerank_p50_ms": _percentile_ms(rerank, 0.5),
        "search_p50_ms": _percentile_ms(search, 0.5),
        "eight_per_s": 2 * len(questions) / eight.seconds,
    }


async def fill(place: Place, data_dir: Path, words: Words, chunks: int) -> None:
    """Two stores of the server's key: `words`, and `near`, which has vectors, too."""
    ledger = Ledger.open(data_dir, None, SystemClock())
    try:
        key = ledger.identify(place.key.encode())
        assert key is not None, "the server's own key"
        owner = owner_of(key)
        for name, embedder in (("words", ""), ("near", "vectors")):
            new = NewStore(
                id=f"vs_{name}",
                owner=owner,
                name=name,
                description="",
                mode="hybrid" if embedder else "keyword",
                embedder=embedder,
                metadata="{}",
                expires_days=None,
            )
            store = await ledger.knowledge.create(new, 10)
            count = max(1, chunks // DOCUMENT_CHUNKS)
            documents = [
                NewDocument(id=f"d{at}", title=f"d{at}.md", is_file=False) for at in range(count)
            ]
            begun = await ledger.knowledge.begin(store, documents, Filling())
            for at, document in enumerate(begun):
                if not at % _PERIOD:
                    sys.stderr.write(f"bench: {name}, document {at} of {count}\n")
                passages = list(_passages(words, with_vectors=bool(embedder)))
                await ledger.knowledge.add(document, store, passages)
                await ledger.knowledge.complete(document, store)
    finally:
        await ledger.close()


def _passages(words: Words, *, with_vectors: bool) -> Iterator[Passage]:
    texts = [words.text(CHUNK_WORDS) for _ in range(DOCUMENT_CHUNKS)]
    vectors = _vectors(texts) if with_vectors else [b""] * len(texts)
    at = 0
    for text, vector in zip(texts, vectors, strict=True):
        yield Passage(at, at + len(text), text, vector)
        at += len(text)


def _vectors(texts: Sequence[str]) -> list[bytes]:
    body = _json(model="echo", input=texts, encoding_format="base64")
    found = echo.respond(Outgoing("/embeddings", body), 0.0)
    assert isinstance(found, Incoming), "embeddings are not streamed"
    rows = msgspec.json.decode(found.body)["data"]
    return [base64.b64decode(row["embedding"]) for row in rows]


async def _asked(
    place: Place, questions: Sequence[str], more: dict[str, Any], connections: int = 1
) -> Load:
    bodies = [_json(query=each, **more) for each in questions]
    requests = [request(place, "POST", "/v1/rag/query", body) for body in bodies]
    await jobs_load.at_full_speed(place, requests[:10], 1, 200)  # what is read once is read now
    return _good(await jobs_load.at_full_speed(place, requests, connections, 200))


def _good(load: Load) -> Load:
    if load.failed:
        raise BenchStopped(f"{load.failed} questions were not answered")
    return load


def _json(**fields: Any) -> bytes:
    return msgspec.json.encode(fields)


def _percentile_ms(load: Load, share: float) -> float:
    latencies = load.latencies_s
    return latencies[min(len(latencies) - 1, int(share * len(latencies)))] * 1e3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.rag", description="Questions to documents, on SQLite."
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="a small store; the numbers mean little")
    add("--chunks", type=int, default=Sizes().chunks, help="passages; default: %(default)s")
    add("--out", metavar="FILE", default="bench-out/rag.json", help="default: %(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
