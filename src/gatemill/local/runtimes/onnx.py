"""Embedders, classifiers and rerankers as ONNX graphs, in threads of this process (extra `local`).

Rule: nothing heavy happens on the event loop; a batch is one thread's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from gatemill.core.errors import ModelLoadFailed, UnsupportedOperation, UpstreamTimeout
from gatemill.local.batcher import Batcher, Batching
from gatemill.local.onnx_model import session as graphs
from gatemill.local.onnx_model import tasks
from gatemill.local.onnx_model.encoding import encoder_of
from gatemill.local.onnx_model.work import Classifying, Embedding, Ranking
from gatemill.local.options import Options
from gatemill.local.sources import settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy import ndarray

    from gatemill.core.call import Timeouts
    from gatemill.core.model import ModelSpec
    from gatemill.core.ports import Incoming, Outgoing, Source
    from gatemill.local.onnx_model.encoding import Encoded
    from gatemill.local.onnx_model.work import Work
    from gatemill.local.parts import Tools

T = TypeVar("T")
INLINE_BYTES = 2_048  # a body of so many bytes is tokenized on the event loop
INLINE_ROWS = 8  # so many vectors are written as JSON there
_BATCHING = Batching(workers=1)
_OUTPUTS = {  # by task, the outputs that exporters name, the best first
    "embed": ("sentence_embedding", "last_hidden_state", "token_embeddings"),
    "classify": ("logits",),
    "rerank": ("logits",),
}


async def load(spec: ModelSpec, tools: Tools) -> Onnx:
    """The model, ready. Raises ModelLoadFailed, ExtraNotInstalled."""
    if spec.task not in _OUTPUTS:
        raise ModelLoadFailed(f"The engine onnx does not {spec.task}; use torch or command.")
    options = Options(spec)
    folder = await tools.folder(spec)
    graph = graphs.graph_of(folder, options.text("file"), options.text("dtype", "auto"))
    size_bytes = options.whole("memory_bytes", 0) or graphs.size_bytes(graph)
    await tools.reserve(spec, size_bytes)
    loop = asyncio.get_running_loop()
    work = await loop.run_in_executor(tools.files, _opened, spec, folder, graph)
    batching = Batching(
        workers=tools.workers,
        batch_max=options.whole("batch_max", 0) or _BATCHING.batch_max,
        batch_tokens=options.whole("batch_tokens", 0) or _BATCHING.batch_tokens,
        batch_wait_s=float(spec.options.get("batch_wait_s") or 0.0),
        waiting_max=options.whole("waiting_max", 0) or _BATCHING.waiting_max,
    )
    batcher = Batcher[Any, Any](work.compute, tools.compute, batching, tools.batches(spec.name))
    return Onnx(spec.name, work, batcher, tools, size_bytes)


def _opened(spec: ModelSpec, folder: Path, graph: Path) -> Work:
    options = Options(spec)
    config = settings(folder, "config.json")
    encoder = encoder_of(folder, config, options.whole("context_tokens", 0) or None)
    device = options.text("device", "auto")
    session = graphs.session_of(graph, device, _OUTPUTS[spec.task])
    if spec.task == "embed":
        pooling = tasks.pooling_of(folder, options.text("pooling"))
        nested = options.truth("matryoshka", default=False)
        return Embedding(spec.name, (session, encoder), pooling, nested=nested)
    if spec.task == "classify":
        labels = tasks.labels_of(config, spec.name)
        return Classifying((spec.name, version_of(spec)), (session, encoder), labels)
    return Ranking(spec.name, (session, encoder))


def version_of(spec: ModelSpec) -> str | None:
    """What tells the weights apart: the registry's version, the commit, the start of the digest that was pinned."""
    if ":" in spec.name:
        return spec.name
    commit = spec.source.rpartition("@")[2] if spec.source.startswith("hf:") else ""
    return (commit or spec.sha256)[:12] or None


class Onnx:
    """A loaded graph and those who wait for it; satisfies local.parts.Runtime."""

    pid: int | None = None
    restarts = 0

    def __init__(
        self,
        name: str,
        work: Work,
        batcher: Batcher[Encoded, ndarray],
        tools: Tools,
        memory_bytes: int,
    ) -> None:
        self.memory_bytes = memory_bytes
        self._name = name
        self._work = work
        self._batcher = batcher
        self._tools = tools

    @property
    def waiting(self) -> int:
        """Inputs that no thread has taken yet."""
        return self._batcher.waiting

    async def exchange(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming:
        """The answer.

        Raises InvalidRequest and its kinds, Overloaded, UpstreamTimeout, UpstreamError.
        """
        work = self._work
        if out.path.partition("?")[0] != work.PATH:
            raise UnsupportedOperation(
                f"The model `{self._name}` answers {work.PATH}, and nothing else. Choose another.",
                param="model",
            )
        left_s = min(deadline_s - self._tools.clock.monotonic_s(), timeouts.total_s)
        try:
            async with asyncio.timeout(left_s):
                return await self._answer(work, out.body)
        except TimeoutError:
            raise UpstreamTimeout("The model took longer than it may.") from None

    async def open(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming | Source:
        """Nothing here is streamed: the complete answer."""
        return await self.exchange(out, timeouts, deadline_s)

    async def close(self) -> None:
        """The weights are given back when the last batch is done."""
        self._batcher.close()

    async def _answer(self, work: Work, body: bytes) -> Incoming:
        asked = work.read(body)
        is_long = len(body) > INLINE_BYTES
        encoded = await self._apart(lambda: work.encode(asked), apart=is_long)
        rows = await self._batcher.run(encoded, [len(one.ids) for one in encoded])
        many = len(rows) > INLINE_ROWS
        return await self._apart(lambda: work.answer(asked, encoded, rows), apart=many)

    async def _apart(self, function: Callable[[], T], *, apart: bool) -> T:
        """What it returns; in a thread where it takes a while."""
        if not apart:
            return function()
        return await asyncio.get_running_loop().run_in_executor(self._tools.compute, function)
