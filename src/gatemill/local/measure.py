"""How fast a model answers callers in a closed loop. Rule: the texts are the same in each run."""

from __future__ import annotations

import asyncio
import random
import time
from itertools import count
from typing import TYPE_CHECKING

from gatemill.core.call import Timeouts
from gatemill.core.ports import Outgoing
from gatemill.core.tasks import spawn
from gatemill.wire import fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatemill.core.model import ModelSpec
    from gatemill.core.ports import Json, Transport

_SAID = (
    "a ago answer asked at books by city day did do first for found great have how in is it last long"
    " many me more much my night of old on one open river show tell than that the there this time to"
    " town two was water we what when where which who why with work world would year you"
)
WORDS = tuple(_SAID.split())
_LEAST = 0.375  # exponent of the shortest: 4 words of 40; short texts are as frequent as long ones are long
_TEXTS = 512  # of different lengths, the same in each run


def requests(spec: ModelSpec, words_max: int) -> Iterator[Outgoing]:
    """Requests of the model's task without end, of 1 to `words_max` words; the same in each run."""
    rng = random.Random(0)
    texts = [
        " ".join(rng.choices(WORDS, k=round(words_max ** rng.uniform(_LEAST, 1.0))))
        for _ in range(_TEXTS)
    ]
    made = [_request(spec, text) for text in texts]
    return (made[index % _TEXTS] for index in count())


def _request(spec: ModelSpec, text: str) -> Outgoing:
    body: Json = {"model": spec.name}
    if spec.task == "rerank":
        return Outgoing("/rerank", fields.encode({**body, "query": "why", "documents": [text]}))
    path = "/embeddings" if spec.task == "embed" else "/predict"
    return Outgoing(path, fields.encode({**body, "input": text}))


async def measure(
    transport: Transport, spec: ModelSpec, clients: int, load: tuple[float, int]
) -> dict[str, float]:
    """Requests a second, CPU of a request, latencies; so many callers, each with one request at a time.

    `load` is how long, in seconds, and the most words of a text.
    """
    seconds, words_max = load
    texts = requests(spec, words_max)
    taken_s: list[float] = []
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    ends_s = began_s + seconds

    async def call() -> None:
        now_s = began_s  # so that each asks once at least, on a machine that stands still too
        while now_s < ends_s:
            asked_s = time.perf_counter()
            await transport.exchange(next(texts), Timeouts(), time.monotonic() + 60.0)
            now_s = time.perf_counter()
            taken_s.append(now_s - asked_s)

    await asyncio.gather(*(spawn(call(), "measure") for _ in range(clients)))
    taken_s.sort()
    return {
        "clients": clients,
        "per_s": len(taken_s) / (time.perf_counter() - began_s),
        "cpu_ms": 1e3 * (time.process_time() - began_cpu_s) / len(taken_s),
        "p50_ms": 1e3 * taken_s[len(taken_s) // 2],
        "p99_ms": 1e3 * taken_s[int(len(taken_s) * 0.99)],
    }
