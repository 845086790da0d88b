"""The guard `moderation`: texts go to a model that moderates, or classifies, as a request of our own.

Rule: it is planned, sent and billed like any other, to the key of the call that it serves, whatever
models that key may name. No guard looks at it: it holds what they look at.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from gatemill.core.call import Call, Head
from gatemill.core.errors import ClientGone, GatemillError, GuardUnavailable
from gatemill.core.guard import Finding
from gatemill.gateway import parts
from gatemill.gateway.plan import plan
from gatemill.gateway.settle import settle
from gatemill.upstream.attempt import attempt
from gatemill.wire import moderations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gatemill.gateway.parts import Gateway

NAME = "moderation"
PIECE_CHARS = 16_000  # a longer text goes in pieces, because models read no more at once
OVERLAP_CHARS = 400  # that two neighbouring pieces share: no sentence is seen in halves only
PIECES_MAX = 64  # in one request; more make several, one after the other
_SHOWN_FROM = 0.01  # scores below it say nothing


class Moderation:
    """Asks the gateway that it is a part of, and does not keep it alive. Satisfies core.guard.Remote."""

    gateway: weakref.ref[Gateway]  # set once that exists

    def __init__(self, model: str, timeout_s: float) -> None:
        """`timeout_s` is the patience with all that one judgement takes."""
        self._model = model
        self._timeout_s = timeout_s

    async def judge(self, texts: Sequence[str], call: Call, side: str) -> Sequence[list[Finding]]:
        """For each text the categories that it may be of, with their scores, over all of it.

        A caller who asks for a moderation gets it, and is not refused because of what it says. Raises
        GuardUnavailable.
        """
        if call.operation == moderations.NAME:
            return [[] for _ in texts]
        gateway = self.gateway()
        assert gateway is not None, "the call that is judged holds it"
        deadline_s = min(call.deadline_s, gateway.now() + self._timeout_s)
        scores: list[dict[str, float]] = [{} for _ in texts]
        pieces = list(_pieces(texts))
        for number, start in enumerate(range(0, len(pieces), PIECES_MAX)):
            some = pieces[start : start + PIECES_MAX]
            name = f"{call.id}-moderation-{side}" + (f"-{number + 1}" if number else "")
            body = msgspec.json.encode({"model": self._model, "input": [one for _, one in some]})
            found = await self._ask(gateway, call, self._own(gateway, call, name, body, deadline_s))
            for (index, _), one in zip(some, found, strict=True):
                known = scores[index]
                known.update(
                    {kind: max(score, known.get(kind, 0.0)) for kind, score in one.items()}
                )
        return [_findings(text, one) for text, one in zip(texts, scores, strict=True)]

    def _own(self, gateway: Gateway, call: Call, name: str, body: bytes, deadline_s: float) -> Call:
        assert call.key is not None
        return Call(
            id=name,
            operation=moderations.NAME,
            body=body,
            head=Head(model=self._model),
            started_s=gateway.now(),
            deadline_s=deadline_s,
            arrived_at=call.arrived_at,
            # The model is the configuration's choice, not the caller's.
            key=replace(call.key, models=("*",)),
            seed=call.seed,
            job_id=call.job_id,
        )

    async def _ask(self, gateway: Gateway, call: Call, own: Call) -> list[dict[str, float]]:
        """The scores of each piece. Raises GuardUnavailable."""
        failure: GatemillError | None = None
        assert own.key is not None
        asked = own.body
        try:
            chosen = plan(gateway.routes, own.key, own, gateway.now())
            own.label = chosen.route.name
            surface = gateway.surfaces[moderations.NAME]
            reply = await attempt(chosen.targets, surface, own, gateway.tries)
        except GatemillError as error:
            failure = error
            raise GuardUnavailable(
                f"The model that moderates cannot answer: {error.message}",
                retry_after_s=error.retry_after_s,
            ) from error
        except asyncio.CancelledError:
            failure = ClientGone("The caller hung up.")
            raise
        finally:
            caller = parts.Caller(secret=None, started_s=own.started_s)
            call.besides_microusd += settle(gateway, own, caller, failure) or 0
        found = moderations.scores(reply.body)
        if len(found) != len(msgspec.json.decode(asked)["input"]):
            raise GuardUnavailable("The model that moderates has not judged every text.")
        return found


def _pieces(texts: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Each text, or what it is cut into, with its place; white space needs no judge."""
    step = PIECE_CHARS - OVERLAP_CHARS
    for index, text in enumerate(texts):
        for start in range(0, max(1, len(text) - OVERLAP_CHARS), step):
            piece = text[start : start + PIECE_CHARS]
            if piece and not piece.isspace():
                yield index, piece


def _findings(text: str, scores: dict[str, float]) -> list[Finding]:
    length = len(text.encode("utf-8", "replace"))
    return [
        Finding(0, length, NAME, kind, score)
        for kind, score in scores.items()
        if score >= _SHOWN_FROM
    ]
