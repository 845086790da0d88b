"""What a call gives back. Rule: the provider's answer as it came, and what the gateway knows of it."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from gatemill.core.call import Reply


class Answer(Struct, frozen=True):
    """A complete answer."""

    data: dict[str, Any]  # in the format of the operation: OpenAI's chat completion, embeddings ...
    request_id: str
    target: str  # "provider/model" that answered; "" where the cache did
    attempts: int
    cost_microusd: int | None  # None: the price is not known
    cache: str  # "", "miss", "hit", "stale" or "coalesced"
    version: str  # the experiment's arm

    @property
    def text(self) -> str:
        """The text of a chat completion's first choice; "" where it has none."""
        choices = self.data.get("choices") or [{}]
        message = choices[0].get("message") or {}
        return message.get("content") or ""

    @property
    def vectors(self) -> list[list[float]]:
        """The vectors of an embeddings answer, in the order of its inputs."""
        found = sorted(self.data.get("data", ()), key=itemgetter("index"))
        return [each["embedding"] for each in found]


def answer_of(reply: Reply) -> Answer:
    """The answer inside a complete reply."""
    call = reply.call
    return Answer(
        data=msgspec.json.decode(reply.body),
        request_id=call.id,
        target=call.attempts[-1].target.label if call.attempts else "",
        attempts=len(call.attempts),
        cost_microusd=reply.cost_microusd,
        cache=call.cache,
        version=call.version,
    )
