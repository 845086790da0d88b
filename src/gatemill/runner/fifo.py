"""One answer after the other, on one thread: for models that cannot be batched, and for seeds.

Rule: the thread is the lock on the device. It lives as long as the model, since what some devices keep
for it belongs to a thread.
"""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
from typing import TYPE_CHECKING, Any

import torch
from msgspec import Struct
from transformers import StoppingCriteriaList

from gatemill.runner.engine import News

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.runner.engine import Work
    from gatemill.runner.model import Model

_STOP_S = 5.0


class _Job(Struct, eq=False):
    """One answer."""

    number: int
    work: Work
    hear: Callable[[News], None]
    loop: asyncio.AbstractEventLoop
    cancelled: bool = False  # written on the loop, read by the thread between two tokens


class Fifo:
    """Satisfies engine.Engine."""

    KIND = "fifo"
    seeds = True

    def __init__(self, model: Model) -> None:
        self._model = model
        self._numbers = itertools.count(1)
        self._jobs: dict[int, _Job] = {}  # under way; the loop's alone
        # The app bounds what waits.
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="generate", daemon=True)
        self._thread.start()

    @property
    def lives(self) -> bool:
        """Its thread runs."""
        return self._thread.is_alive()

    @property
    def under_way(self) -> int:
        """Answers submitted and not over."""
        return len(self._jobs)

    @property
    def scheduled(self) -> int:
        """The same; there is no other queue."""
        return len(self._jobs)

    def submit(self, work: Work, hear: Callable[[News], None]) -> int:
        """See engine.Engine."""
        job = _Job(next(self._numbers), work, hear, asyncio.get_running_loop())
        self._jobs[job.number] = job
        self._queue.put(job)
        return job.number

    def cancel(self, number: int) -> None:
        """See engine.Engine."""
        if job := self._jobs.pop(number, None):
            job.cancelled = True

    def close(self) -> None:
        """See engine.Engine."""
        for number in list(self._jobs):
            self.cancel(number)
        self._queue.put(None)
        self._thread.join(_STOP_S)

    # --- On the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            if job.cancelled:
                continue
            try:
                self._generate(job)
            except (
                RuntimeError,
                ValueError,
                TypeError,
                IndexError,
                KeyError,
                MemoryError,
            ) as error:
                self._tell(job, News(error=f"{type(error).__name__}: {error}"))

    def _tell(self, job: _Job, news: News) -> None:
        job.loop.call_soon_threadsafe(self._heard, job, news)

    def _heard(self, job: _Job, news: News) -> None:
        """On the loop."""
        if job.cancelled:
            return
        if news.finish or news.error:
            del self._jobs[job.number]
        job.hear(news)

    def _generate(self, job: _Job) -> None:
        model, work = self._model, job.work
        if work.sampling.seed is not None:
            torch.manual_seed(work.sampling.seed)
        ids = torch.tensor([work.prompt], dtype=torch.int64, device=model.network.device)  # [1, n]
        streamer = _Streamer(lambda news: self._tell(job, news), model.eos)
        with torch.inference_mode():
            model.network.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=work.output_max,
                eos_token_id=list(model.eos) or None,
                pad_token_id=model.pad,
                streamer=streamer,
                stopping_criteria=StoppingCriteriaList([_Cancelled(job)]),
                **_sampling(model, work),
            )
        streamer.finish()


class _Streamer:
    """What `generate` tells of each token; it calls `put` with the prompt first."""

    def __init__(self, tell: Callable[[News], None], eos: frozenset[int]) -> None:
        self._tell = tell
        self._eos = eos
        self._has_prompt = False
        self._ended = False

    def put(self, value: torch.Tensor) -> None:
        """value: [1] or [1, n] int64."""
        if not self._has_prompt:
            self._has_prompt = True
            return
        ids = value.flatten().tolist()
        shown = [one for one in ids if one not in self._eos]
        self._ended = len(shown) < len(ids)
        self._tell(News(shown, len(ids)))

    def end(self) -> None:
        """`generate` is over; `finish` says how."""

    def finish(self) -> None:
        """The answer has ended."""
        self._tell(News(finish="stop" if self._ended else "length"))


class _Cancelled:
    """Ends `generate` when nobody waits for its answer any more."""

    def __init__(self, job: _Job) -> None:
        self._job = job

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_kwargs: Any) -> torch.Tensor:
        """[batch] bool, on the device of input_ids [batch, tokens]."""
        return torch.full((input_ids.shape[0],), self._job.cancelled, device=input_ids.device)


def _sampling(model: Model, work: Work) -> dict[str, Any]:
    said, own = work.sampling, model.sampling
    temperature = own.temperature if said.temperature is None else said.temperature
    if temperature == 0:
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    return {
        "do_sample": True,
        "temperature": float(1.0 if temperature is None else temperature),
        "top_p": float(said.top_p or own.top_p or 1.0),
        "top_k": said.top_k or own.top_k or 0,
    }
