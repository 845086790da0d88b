"""The calls of a job, as knowledge asks models. Rule: patient as the job's other calls are."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from gatemill.jobs.fanout import Fan, Tokens, tokens_of

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager


class Asker:
    """Satisfies knowledge.asking.Asker."""

    def __init__(self, fan: Fan) -> None:
        self.usage = Tokens()  # of the calls so far
        self._fan = fan

    async def ask(self, operation: str, body: bytes, step: str) -> bytes:
        """The complete answer. Raises GatemillError."""
        answer = await self._fan.ask(operation, body)
        self.usage += tokens_of(operation, answer)
        return answer

    def labels(self, model: str) -> list[str]:
        """Nobody asks: a job takes the model that it was given."""
        return []

    def admitted(self) -> AbstractAsyncContextManager[Any]:
        """For a search that asks no model: a job counts by its calls alone."""
        return nullcontext()
