"""Calls that one question makes: a vector, a new order, an answer.

Rule: each goes the whole way of a request, on the caller's key, with an id that begins with the
question's; so limits, budgets, fallbacks and the ledger know of each.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec import Struct

from gatemill.core.errors import GatemillError, UpstreamBadReply
from gatemill.core.limits import Refusal, Wanted
from gatemill.gateway import aside
from gatemill.gateway.identify import identify
from gatemill.gateway.parts import Caller
from gatemill.gateway.pipeline import answer
from gatemill.gateway.routes import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from gatemill.core.call import Key, Reply
    from gatemill.core.ports import Json
    from gatemill.gateway.parts import Gateway


_OURS = ("builtin/", "local/")  # who knows `truncate`
_NOWHERE = Route(name="search", targets=())  # the route of a request that no model answers


class Asker(Protocol):
    """Who asks models on somebody's behalf."""

    async def ask(self, operation: str, body: bytes, step: str) -> bytes:
        """The complete answer. `step` names the call within the question. Raises GatemillError."""
        ...

    def labels(self, model: str) -> list[str]:
        """Where a model's name leads, as "provider/model"; empty for a name that leads nowhere."""
        ...

    def admitted(self) -> AbstractAsyncContextManager[None]:
        """For a question that asks no model: it counts as one request."""
        ...

    async def storable(self, text: str) -> str:
        """The text of a document as its guards let it be stored. Raises ContentBlocked."""
        ...


class Spent(Struct):
    """What the calls of one question came to. Written by whoever asks, read when it is answered."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int | None = 0  # None: a price is unknown
    calls: int = 0

    def add(self, input_tokens: int, output_tokens: int, cost_microusd: int | None) -> None:
        """One more call."""
        self.calls += 1
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        if cost_microusd is None or self.cost_microusd is None:
            self.cost_microusd = None
        else:
            self.cost_microusd += cost_microusd


class Asking:
    """One question of one caller. Satisfies Asker."""

    def __init__(self, gateway: Gateway, caller: Caller, request_id: str) -> None:
        """`caller` is as the door has it."""
        self.request_id = request_id
        self.spent = Spent()
        self.failure: GatemillError | None = None  # of the last call that failed
        self._gateway = gateway
        self._caller = caller

    async def ask(self, operation: str, body: bytes, step: str) -> bytes:
        """The complete answer. Raises GatemillError."""
        reply = await self.reply(operation, body, step)
        assert reply.stream is None, "whoever asks for a stream takes the reply"
        self.add(reply)
        return reply.body

    def labels(self, model: str) -> list[str]:
        """Where a model's name leads, as "provider/model"."""
        route = self._gateway.routes.find(model)
        return [] if route is None else [target.label for target in route.targets]

    async def reply(self, operation: str, body: bytes, step: str) -> Reply:
        """The reply, whose cost `add` has yet to hear of. Raises GatemillError."""
        said = self._caller
        caller = Caller(
            secret=said.secret,
            started_s=self._gateway.now(),
            client_request_id=said.client_request_id,
            timeout_s=said.timeout_s,
            user=said.user,
            conversation=said.conversation,
            cache_control=said.cache_control,
            is_recorded=said.is_recorded,
        )
        try:
            return await answer(self._gateway, operation, body, caller, f"{self.request_id}-{step}")
        except GatemillError as error:
            self.failure = error
            raise

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """For a question that asks no model: it counts as one request. Raises what refuses one."""
        gateway = self._gateway
        key = self.key
        gateway.gate.enter()
        try:
            rules = gateway.admission.bundle(key, _NOWHERE).rules
            if not rules:
                yield
                return
            limiter = gateway.admission.limiter
            hold = await limiter.admit(Wanted(self.request_id, rules, 0, 0, self.unix_s()))
            if isinstance(hold, Refusal):
                raise gateway.admission.refuse(hold)
            try:
                yield
            finally:
                limiter.settle(hold, 0, 0)
        finally:
            gateway.gate.leave()

    async def storable(self, text: str) -> str:
        """The text of a document as its guards let it be stored. Raises ContentBlocked."""
        return await aside.stored(self._gateway, self.key, "documents", text)

    async def check(self, operation: str, body: bytes) -> None:
        """No guard blocks this question. Raises ContentBlocked."""
        await aside.check(self._gateway, self.key, operation, body)

    async def shown(self, operation: str, value: Json) -> Json:
        """What was found, as whoever asks may see it. Raises ContentBlocked."""
        return await aside.shown(self._gateway, self.key, operation, value)

    @property
    def key(self) -> Key:
        """Whoever asks. Raises what `identify` does."""
        return identify(self._gateway.keys, self._caller.secret, self.unix_s())

    def now(self) -> float:
        """Monotonic seconds."""
        return self._gateway.now()

    def unix_s(self) -> float:
        """Unix time."""
        return self._gateway.clock.unix_s()

    def add(self, reply: Reply) -> None:
        """What a complete reply used and cost."""
        usages = [attempt.usage for attempt in reply.call.attempts if attempt.usage is not None]
        self.spent.add(
            sum(usage.prompt for usage in usages),
            sum(usage.completion for usage in usages),
            reply.cost_microusd,
        )


class _Vector(Struct):
    index: int
    embedding: list[float]


class _Vectors(Struct):
    data: list[_Vector]


class _Result(Struct):
    index: int
    relevance_score: float


class _Results(Struct):
    results: list[_Result]


_vectors = msgspec.json.Decoder(_Vectors)
_results = msgspec.json.Decoder(_Results)


async def vectors_of(asker: Asker, model: str, texts: Sequence[str]) -> list[list[float]]:
    """One vector for each text, as the embedder `model` gives it. Raises GatemillError."""
    body = {"model": model, "input": list(texts), "encoding_format": "float"}
    said = await asker.ask("embeddings", msgspec.json.encode(body), "embed")
    try:
        found = sorted(_vectors.decode(said).data, key=lambda one: one.index)
    except msgspec.MsgspecError as error:
        raise UpstreamBadReply("The embedding model answered without vectors.") from error
    if [one.index for one in found] != list(range(len(texts))):
        raise UpstreamBadReply("The embedding model did not answer each text.")
    return [one.embedding for one in found]


async def reranked(
    asker: Asker, model: str, asked: str, texts: Sequence[str], count: int
) -> list[tuple[int, float]]:
    """Places of the `count` best texts with their scores, best first. Raises GatemillError."""
    body: dict[str, Any] = {
        "model": model,
        "query": asked,
        "documents": list(texts),
        "top_n": min(count, len(texts)),
    }
    labels = asker.labels(model)
    if labels and all(label.startswith(_OURS) for label in labels):
        body["truncate"] = True  # a passage that is a little too long is better than none
    said = await asker.ask("rerank", msgspec.json.encode(body), "rerank")
    try:
        found = _results.decode(said).results
    except msgspec.MsgspecError as error:
        raise UpstreamBadReply("The rerank model answered without an order.") from error
    best = sorted(found, key=lambda one: -one.relevance_score)
    if not {one.index for one in best} <= set(range(len(texts))):
        raise UpstreamBadReply("The rerank model named a document that it was not given.")
    return [(one.index, one.relevance_score) for one in best[:count]]
