"""The calls of a job, as knowledge asks models. Rule: patient as the job's other calls are."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from gatemill.gateway import aside
from gatemill.jobs.fanout import Fan, Tokens, tokens_of

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from gatemill.jobs.context import Context


class Asker:
    """Satisfies knowledge.asking.Asker."""

    def __init__(self, fan: Fan, ctx: Context) -> None:
        self.usage = Tokens()  # of the calls so far
        self._fan = fan
        self._ctx = ctx

    async def ask(self, operation: str, body: bytes, step: str) -> bytes:
        """The complete answer. Raises GatemillError."""
        answer = await self._fan.ask(operation, body)
        self.usage += tokens_of(operation, answer)
        return answer

    def labels(self, model: str) -> list[str]:
        """Nobody asks: a job takes the model that it was given."""
        return []

    async def storable(self, text: str) -> str:
        """The text of a document as the guards of the job's key let it be stored. Raises ContentBlocked."""
        return await aside.stored(self._ctx.services.gateway, self._ctx.key, "documents", text)

    def admitted(self) -> AbstractAsyncContextManager[Any]:
        """For a search that asks no model: a job counts by its calls alone."""
        return nullcontext()
