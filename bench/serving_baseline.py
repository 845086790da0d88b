"""What one writes without us: a graph, a tokenizer, a thread pool, one request at a time in each thread.

Rule: the same graph, the same threads, the same JSON; only what is between them differs.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from gatemill.core.ports import Incoming

if TYPE_CHECKING:
    from gatemill.core.call import Timeouts
    from gatemill.core.ports import Outgoing, Source


class Unbatched:
    """Satisfies gatemill.core.ports.Transport."""

    def __init__(self, folder: Path, labels: tuple[str, ...], threads: int) -> None:
        """Without labels it embeds."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()  # MiniLM's file pads every text to 128 tokens
        self._labels = labels
        self._threads = ThreadPoolExecutor(threads)

    async def exchange(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming:
        """The answer."""
        loop = asyncio.get_running_loop()
        return Incoming(200, {}, await loop.run_in_executor(self._threads, self._answer, out.body))

    async def open(self, out: Outgoing, timeouts: Timeouts, deadline_s: float) -> Incoming | Source:
        """Nothing here is streamed."""
        return await self.exchange(out, timeouts, deadline_s)

    async def close(self) -> None:
        """The threads end."""
        self._threads.shutdown()

    def _answer(self, body: bytes) -> bytes:
        asked = msgspec.json.decode(body)
        encoding = self._tokenizer.encode(asked["input"])
        ids = np.array([encoding.ids], np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": ids * 0}
        (output,) = self._session.run(None, feed)
        usage = {"prompt_tokens": ids.size, "total_tokens": ids.size}
        if self._labels:
            powers = np.exp(output[0] - output[0].max())
            shares = powers / powers.sum()
            best = int(shares.argmax())
            one = {"label": self._labels[best], "confidence": float(shares[best])}
            return msgspec.json.encode({"predictions": [one], "usage": usage})
        vector = output[0].mean(axis=0)
        data = [{"index": 0, "embedding": (vector / np.linalg.norm(vector)).tolist()}]
        return msgspec.json.encode({"object": "list", "data": data, "usage": usage})
