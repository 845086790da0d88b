"""Many answers at once: transformers' continuous batching, with a cache that we bound.

Rule: its defaults are never trusted with memory. Seen with 5.23 (2026-11): a cache of 7.8 GB for a
model of one million parameters, and 27 s to start. It has no stop strings and no seed per request;
`Text` and `Fifo` do.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any

import torch
from transformers import ContinuousBatchingConfig, GenerationConfig

from gatemill.runner.engine import News

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatemill.runner.asked import Sampling
    from gatemill.runner.engine import Work
    from gatemill.runner.memory import Plan
    from gatemill.runner.model import Model

_START_S = 120.0
_STOP_S = 5.0
# Only processors whose value is not the neutral one exist, and requests can set no others:
# huggingface/transformers pull request 45026.
_PRESENT: dict[str, Any] = {"temperature": 0.99, "top_k": 50, "top_p": 0.99}
_NEUTRAL = 1.0


class CannotBatch(Exception):
    """The library cannot take this model; the message is its reason."""


class Batched:
    """Satisfies engine.Engine."""

    KIND = "batched"
    seeds = False

    def __init__(self, model: Model, plan: Plan, concurrency_max: int) -> None:
        self._model = model
        self._numbers = itertools.count(1)
        self._heard: dict[int, int] = {}  # tokens told so far, of each answer under way
        try:
            self._manager = _manager(model, plan, concurrency_max)
            self._manager.start()
            self._try_out()
        except (RuntimeError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise CannotBatch(str(error)) from error

    @property
    def lives(self) -> bool:
        """Its thread runs."""
        found: bool = self._manager.is_running()
        return found

    @property
    def under_way(self) -> int:
        """Answers submitted and not over."""
        return len(self._heard)

    @property
    def scheduled(self) -> int:
        """Answers that the library itself still holds; 0 soon after the last one is over."""
        scheduler = self._manager.batch_processor.scheduler
        return len(scheduler.active_requests) + len(scheduler.waiting_requests)

    def submit(self, work: Work, hear: Callable[[News], None]) -> int:
        """See engine.Engine."""
        number = next(self._numbers)
        self._heard[number] = 0
        self._manager.register_result_handler(
            str(number), functools.partial(self._progress, number, hear)
        )
        taken = self._manager.add_request(
            list(work.prompt),
            request_id=str(number),
            max_new_tokens=work.output_max,
            streaming=True,
            eos_token_id=list(self._model.eos) or -1,
            **self._sampling(work.sampling),
        )
        if taken is None:
            self._forget(number)
            hear(News(error="the engine has stopped"))
        return number

    def cancel(self, number: int) -> None:
        """See engine.Engine."""
        if number in self._heard:
            self._manager.cancel_request(str(number))
            self._forget(number)

    def close(self) -> None:
        """See engine.Engine."""
        self._manager.stop(block=True, timeout=_STOP_S, hard_stop=True)

    # --- Inside ---------------------------------------------------------------------------------

    def _progress(self, number: int, hear: Callable[[News], None], output: Any) -> None:
        told = self._heard.get(number)
        if told is None:  # cancelled a moment ago
            return
        ids = output.generated_tokens
        self._heard[number] = len(ids)
        if not output.is_finished():
            hear(News(ids[told:], len(ids) - told))
            return
        self._forget(number)
        if output.error is not None:
            hear(News(error=str(output.error)))
            return
        ended = bool(ids) and ids[-1] in self._model.eos
        shown = ids[told : len(ids) - ended]
        hear(News(shown, len(ids) - told, "stop" if ended else "length"))

    def _forget(self, number: int) -> None:
        self._heard.pop(number, None)
        # A cancelled request is never delivered, so the library would keep its handler for ever.
        self._manager.output_router.result_handlers.pop(str(number), None)

    def _sampling(self, said: Sampling) -> dict[str, Any]:
        own = self._model.sampling
        temperature = own.temperature if said.temperature is None else said.temperature
        top_k = said.top_k or own.top_k or self._model.vocabulary
        if temperature == 0:
            temperature, top_k = _NEUTRAL, 1
        top_p = said.top_p or own.top_p or _NEUTRAL
        return {
            "temperature": float(_NEUTRAL if temperature is None else temperature),
            "top_k": min(top_k, self._model.vocabulary),
            "top_p": float(top_p),
        }

    def _try_out(self) -> None:
        """One token is generated, or the reason is raised."""
        self._manager.add_request([self._model.first], max_new_tokens=1)
        found = self._manager.get_result(timeout=_START_S)
        if found is None or found.error is not None:
            fatal = self._manager.background_thread_status.fatal_error
            self._manager.stop(block=True, timeout=_STOP_S, hard_stop=True)
            raise RuntimeError(str(fatal or (found.error if found else "it did not start")))


def _manager(model: Model, plan: Plan, concurrency_max: int) -> Any:
    """The library's manager, with every amount decided by us."""
    generation = GenerationConfig(
        do_sample=True, max_new_tokens=1, pad_token_id=model.pad, eos_token_id=-1, **_PRESENT
    )
    config = ContinuousBatchingConfig(
        page_size=plan.page_tokens,
        num_blocks=plan.pages,
        max_batch_tokens=plan.batch_tokens,
        max_requests_per_batch=concurrency_max,
        per_request_processors=True,
    )
    with torch.no_grad():
        return model.network.init_continuous_batching(generation, config)
